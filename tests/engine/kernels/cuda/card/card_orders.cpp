// How often the tests of a card repeat what they compare bit for bit. SWARM_CARD_ORDERS=1: once,
// for compute-sanitizer, which is slow and sees at once what it sees at all.
#include <cstdlib>
#include <string_view>

#include "engine/kernels/cuda/simt/emulator.h"

namespace swarm::simt {

int orders_at_most() {
  const char* const wanted = std::getenv("SWARM_CARD_ORDERS");
  return wanted != nullptr && std::string_view(wanted) == "1" ? 1 : kOrders;
}

}  // namespace swarm::simt
