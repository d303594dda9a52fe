#include "engine/kv/page_pool.h"

#include <doctest/doctest.h>

#include <map>

#include "engine/base/check.h"
#include "engine/base/rng.h"

using namespace swarm;
using namespace swarm::engine::kv;

TEST_CASE("page_pool: random histories agree with a map of counts") {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const auto total = static_cast<int32_t>(1 + rng.below(9));
    PagePool pool(total);
    std::map<Page, int> model;
    for (int step = 0; step < 400; ++step) {
      const uint64_t what = rng.below(3);
      if (what == 0) {
        const auto page = pool.acquire();
        REQUIRE(page.has_value() == (std::ssize(model) < total));
        if (page) {
          REQUIRE(!model.contains(*page));
          model[*page] = 1;
        }
      } else if (!model.empty()) {
        auto it = std::next(model.begin(), static_cast<int64_t>(rng.below(model.size())));
        if (what == 1) {
          pool.retain(it->first);
          ++it->second;
        } else {
          pool.release(it->first);
          if (--it->second == 0) model.erase(it);
        }
      }
      for (const auto& [page, refs] : model) REQUIRE(pool.refs(page) == refs);
      REQUIRE(pool.free_count() == total - std::ssize(model));
      pool.check_integrity();
    }
  }
}

TEST_CASE("page_pool: releasing a free page is a bug that is noticed") {
  struct Thrown {};
  const ScopedCheckHandler handler([](const std::string&) { throw Thrown{}; });
  PagePool pool(2);
  const Page page = *pool.acquire();
  pool.release(page);
  CHECK_THROWS_AS(pool.release(page), Thrown);
  CHECK_THROWS_AS(pool.retain(page), Thrown);
  CHECK_THROWS_AS(pool.retain(7), Thrown);
}
