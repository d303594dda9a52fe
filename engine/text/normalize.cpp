#include "engine/text/normalize.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "engine/base/check.h"

namespace swarm::engine::text {
namespace {

const utf8proc_uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const utf8proc_uint8_t*>(text.data());
}

void append_valid(std::string& out, std::string_view text) {
  if (text.empty()) return;
  utf8proc_uint8_t* composed = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(bytes_of(text), static_cast<utf8proc_ssize_t>(text.size()), &composed,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(composed, &std::free);
  SWARM_CHECK(size >= 0, size);
  out.append(reinterpret_cast<const char*>(composed), static_cast<size_t>(size));
}

}  // namespace

std::string normalize_nfc(std::string_view text) {
  std::string out;
  size_t valid = 0;   // bytes at the front of text that are UTF-8
  while (valid < text.size()) {
    const std::string_view rest = text.substr(valid);
    utf8proc_int32_t c = -1;
    const utf8proc_ssize_t length =
        utf8proc_iterate(bytes_of(rest), static_cast<utf8proc_ssize_t>(rest.size()), &c);
    if (length > 0) {
      valid += static_cast<size_t>(length);
      continue;
    }
    append_valid(out, text.substr(0, valid));
    out += rest[0];
    text.remove_prefix(valid + 1);
    valid = 0;
  }
  append_valid(out, text);
  return out;
}

}  // namespace swarm::engine::text
