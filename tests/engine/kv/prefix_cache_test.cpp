#include "engine/kv/prefix_cache.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>

#include "engine/base/rng.h"
#include "engine/kv/page_table.h"

using namespace swarm;
using namespace swarm::engine;
using namespace swarm::engine::kv;

namespace {

using Tokens = std::vector<TokenId>;

TimePoint at_ms(int ms) { return TimePoint(std::chrono::milliseconds(ms)); }

// A context that is computed and ended at once: leaves `tokens` in the cache.
void run_context(PagePool& pool, PrefixCache& cache, const Tokens& tokens,
                 Retention retention = {}, TimePoint now = {}) {
  PageTable table(pool, cache);
  REQUIRE(table.attach(cache.match(tokens), tokens, 1, 0, now, Pressure::polite));
  table.commit(tokens, static_cast<int32_t>(tokens.size()));
  table.release(tokens, static_cast<int32_t>(tokens.size()), retention, now);
  cache.check_integrity();
}

int32_t matched(const PrefixCache& cache, const Tokens& tokens) {
  const PrefixMatch match = cache.match(tokens);
  return static_cast<int32_t>(match.nodes.size()) * cache.page_tokens() + match.partial_tokens;
}

Tokens random_tokens(Rng& rng, size_t size_max) {
  Tokens tokens(1 + rng.below(size_max));
  for (TokenId& token : tokens) token = static_cast<TokenId>(rng.below(2));
  return tokens;
}

}  // namespace

TEST_CASE("prefix_cache: a match is the longest common prefix with anything computed") {
  for (const int32_t page_tokens : {1, 2, 3, 5}) {
    Rng rng(static_cast<uint64_t>(page_tokens));
    PagePool pool(4096);
    PrefixCache cache(pool, page_tokens);
    std::vector<Tokens> known;                  // the trivially correct model
    for (int i = 0; i < 120; ++i) {
      const Tokens query = random_tokens(rng, 14);
      size_t best = 0;
      for (const Tokens& tokens : known)
        best = std::max<size_t>(
            best, static_cast<size_t>(
                      std::mismatch(query.begin(), query.end(), tokens.begin(), tokens.end())
                          .first - query.begin()));
      CAPTURE(page_tokens);
      REQUIRE(matched(cache, query) == static_cast<int32_t>(best));
      run_context(pool, cache, query);
      known.push_back(query);
    }
    cache.clear();
    CHECK(pool.free_count() == pool.total());
  }
}

TEST_CASE("prefix_cache: the least recently used leaf goes first and never a locked prefix") {
  PagePool pool(8);
  PrefixCache cache(pool, 2);
  run_context(pool, cache, {1, 1, 2, 2});
  run_context(pool, cache, {1, 1, 3, 3});
  run_context(pool, cache, {9, 9});
  const NodeId locked = cache.match(Tokens{9, 9}).nodes.at(0);
  cache.lock(locked);
  REQUIRE(cache.evict_one({}, Pressure::polite));
  CHECK(matched(cache, {1, 1, 2, 2}) == 2);
  CHECK(matched(cache, {1, 1, 3, 3}) == 4);
  REQUIRE(cache.evict_one({}, Pressure::polite));
  REQUIRE(cache.evict_one({}, Pressure::polite));
  CHECK(matched(cache, {1, 1}) == 0);
  CHECK(!cache.evict_one({}, Pressure::last_resort));
  CHECK(matched(cache, {9, 9}) == 2);
  cache.unlock(locked);
  CHECK(cache.evict_one({}, Pressure::polite));
  CHECK(pool.free_count() == 8);
}

TEST_CASE("prefix_cache: kept pages outlive their time only, pinned pages outlive pressure") {
  PagePool pool(8);
  PrefixCache cache(pool, 2);
  run_context(pool, cache, {1, 1, 2, 2, 3}, {.keep_until = at_ms(10)});
  run_context(pool, cache, {5, 5, 6, 6}, {.pin_tokens = 2});
  CHECK(cache.evictable_count(at_ms(9), Pressure::polite) == 1);       // only {6, 6}
  CHECK(cache.evictable_count(at_ms(9), Pressure::last_resort) == 4);
  CHECK(cache.evictable_count(at_ms(10), Pressure::polite) == 4);
  REQUIRE(cache.evict_one(at_ms(0), Pressure::polite));
  CHECK(!cache.evict_one(at_ms(0), Pressure::polite));
  CHECK(matched(cache, {1, 1, 2, 2, 3}) == 5);
  while (cache.evict_one(at_ms(10), Pressure::polite)) cache.check_integrity();
  CHECK(matched(cache, {1, 1, 2, 2, 3}) == 0);
  CHECK(matched(cache, {5, 5, 6, 6}) == 2);
  CHECK(!cache.evict_one(at_ms(99), Pressure::last_resort));
  run_context(pool, cache, {5, 5, 7}, {.drop = true});                 // no business of its own
  CHECK(matched(cache, {5, 5}) == 2);
  CHECK(pool.free_count() == 7);
}

TEST_CASE("prefix_cache: a page is pinned until the last of its owners lifts the pin") {
  PagePool pool(8);
  PrefixCache cache(pool, 2);
  run_context(pool, cache, {1, 1, 2, 2, 3}, {.pin_tokens = 4, .pin_owner = 7});
  run_context(pool, cache, {1, 1, 4, 4}, {.pin_tokens = 2, .pin_owner = 8});
  run_context(pool, cache, {1, 1, 5, 5}, {.pin_tokens = 2, .pin_owner = 8});   // not twice
  CHECK(cache.pinned_count() == 2);
  cache.unpin(9);
  cache.unpin(7);
  cache.check_integrity();
  CHECK(cache.pinned_count() == 1);
  while (cache.evict_one({}, Pressure::last_resort)) cache.check_integrity();
  CHECK(matched(cache, {1, 1, 2, 2, 3}) == 2);
  cache.unpin(8);
  CHECK(cache.pinned_count() == 0);
  CHECK(cache.evict_one({}, Pressure::polite));
  CHECK(pool.free_count() == 8);
}

TEST_CASE("prefix_cache: only pages that lie inside the pinned tokens are pinned") {
  PagePool pool(8);
  PrefixCache cache(pool, 4);
  run_context(pool, cache, {1, 1, 1}, {.pin_tokens = 3});              // the tail of a context
  CHECK(cache.pinned_count() == 0);
  run_context(pool, cache, {1, 1, 1, 1, 2, 2, 2, 2, 3}, {.pin_tokens = 7});
  CHECK(cache.pinned_count() == 1);
  while (cache.evict_one({}, Pressure::last_resort)) cache.check_integrity();
  CHECK(matched(cache, {1, 1, 1, 1, 2, 2, 2}) == 4);
}

TEST_CASE("prefix_cache: a context is forgotten from a token on, kept or not") {
  PagePool pool(16);
  PrefixCache cache(pool, 2);
  const Tokens all{1, 1, 2, 2, 3, 3, 4};
  const auto cached = [&] { return matched(cache, all); };
  run_context(pool, cache, all, {.keep_until = at_ms(100)});
  REQUIRE(cached() == 7);
  cache.forget(all, 7);                          // nothing lies behind
  CHECK(cached() == 7);
  cache.forget(Tokens{1, 1, 2, 2, 3, 3, 4, 5, 6}, 6);   // what was never computed does not matter
  CHECK(cached() == 6);
  cache.forget(all, 3);                          // the page of token 3 holds the one before it, too
  CHECK(cached() == 4);
  cache.check_integrity();
  CHECK(pool.free_count() == 14);
  cache.forget(all, 0);
  CHECK(pool.free_count() == 16);
}

TEST_CASE("prefix_cache: what others read, pinned or go on from is not forgotten") {
  PagePool pool(16);
  PrefixCache cache(pool, 2);
  run_context(pool, cache, {1, 1, 2, 2, 3, 3, 4}, {});
  run_context(pool, cache, {1, 1, 2, 2, 9, 9}, {});
  cache.forget(Tokens{1, 1, 2, 2, 3, 3, 4}, 0);
  CHECK(matched(cache, {1, 1, 2, 2, 3, 3, 4}) == 4);   // another goes on from there
  CHECK(matched(cache, {1, 1, 2, 2, 9, 9}) == 6);
  const PrefixMatch match = cache.match(Tokens{1, 1, 2, 2, 9, 9});
  for (const NodeId node : match.nodes) cache.lock(node);
  cache.forget(Tokens{1, 1, 2, 2, 9, 9}, 0);           // somebody reads it
  CHECK(matched(cache, {1, 1, 2, 2, 9, 9}) == 6);
  for (const NodeId node : match.nodes) cache.unlock(node);
  run_context(pool, cache, {1, 1, 2, 2, 9, 9}, {.pin_tokens = 4, .pin_owner = 1});
  cache.forget(Tokens{1, 1, 2, 2, 9, 9}, 0);
  CHECK(matched(cache, {1, 1, 2, 2, 9, 9}) == 4);
  run_context(pool, cache, {1, 1, 2, 2, 9, 8, 7}, {});
  cache.forget(Tokens{1, 1, 2, 2, 9, 8}, 4);           // a longer one: its tail is not ours
  CHECK(matched(cache, {1, 1, 2, 2, 9, 8, 7}) == 7);
  cache.check_integrity();
}

TEST_CASE("prefix_cache: a twin sees pending pages, may not read them, and gets them when ready") {
  PagePool pool(16);
  PrefixCache cache(pool, 4);
  const Tokens tokens{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  PageTable first(pool, cache);
  REQUIRE(first.attach(cache.match(tokens), tokens, 77, 0, {}, Pressure::polite));
  PrefixMatch twin = cache.match(tokens);
  REQUIRE(twin.wait_for.has_value());
  CHECK(twin.wait_for->owner == 77);
  CHECK(twin.nodes.empty());
  CHECK(cache.is_pending(*twin.wait_for));
  first.commit(tokens, 5);
  cache.check_integrity();
  CHECK(cache.match(tokens).nodes.size() == 1);
  CHECK(cache.match(tokens).wait_for.has_value());
  first.commit(tokens, 11);
  CHECK(!cache.is_pending(*twin.wait_for));
  twin = cache.match(tokens);
  CHECK(!twin.wait_for.has_value());
  CHECK(twin.nodes.size() == 2);
  CHECK(twin.partial_tokens == 3);                  // the tail of a context that is still alive
  CHECK(!cache.match(Tokens{1, 2, 3, 9}).wait_for.has_value());
  first.release(tokens, 11, {}, {});
  cache.check_integrity();
}

TEST_CASE("prefix_cache: pages that were never computed leave no trace") {
  PagePool pool(8);
  PrefixCache cache(pool, 2);
  const Tokens tokens{1, 2, 3, 4, 5};
  PageTable table(pool, cache);
  REQUIRE(table.attach(cache.match(tokens), tokens, 1, 0, {}, Pressure::polite));
  table.commit(tokens, 3);
  table.release(tokens, 3, {}, {});
  cache.check_integrity();
  CHECK(matched(cache, tokens) == 3);
  CHECK(!cache.match(tokens).wait_for.has_value());
  CHECK(pool.total() - pool.free_count() == 2);
}

TEST_CASE("page_table: two contexts that reach the same text end up on the same page") {
  PagePool pool(8);
  PrefixCache cache(pool, 2);
  Tokens a{1, 2, 3}, b{1, 2, 9};
  PageTable first(pool, cache), second(pool, cache);
  REQUIRE(first.attach(cache.match(a), a, 1, 0, {}, Pressure::polite));
  first.commit(a, 3);
  REQUIRE(second.attach(cache.match(b), b, 2, 0, {}, Pressure::polite));
  second.commit(b, 3);
  CHECK(first.pages()[0] == second.pages()[0]);
  CHECK(first.pages()[1] != second.pages()[1]);
  b[2] = 3;                                          // as if it had generated the same token
  PageTable third(pool, cache);
  const auto attached = third.attach(cache.match(b), b, 3, 0, {}, Pressure::polite);
  REQUIRE(attached.has_value());
  REQUIRE(attached->copy.has_value());
  CHECK(attached->copy->from == first.pages()[1]);
  a.push_back(4);
  b.push_back(4);
  first.commit(a, 4);
  third.commit(b, 4);
  CHECK(first.pages()[1] == third.pages()[1]);
  cache.check_integrity();
  b[2] = 9;
  first.release(a, 4, {}, {});
  third.release(a, 4, {}, {});
  second.release(Tokens{1, 2, 9}, 3, {}, {});
  CHECK(cache.evictable_count({}, Pressure::polite) == cache.unused_count());
  cache.clear();
  CHECK(pool.free_count() == 8);
}

TEST_CASE("page_table: random contexts under page famine keep every count right") {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const auto page_tokens = static_cast<int32_t>(1 + rng.below(4));
    PagePool pool(static_cast<int32_t>(6 + rng.below(12)));
    PrefixCache cache(pool, page_tokens);
    struct Live {
      Tokens tokens;
      int32_t computed;
      std::unique_ptr<PageTable> table;
    };
    std::vector<Live> live;
    for (int step = 0; step < 300; ++step) {
      const TimePoint now = at_ms(step);
      const uint64_t what = rng.below(4);
      if (what == 0) {
        Live next{random_tokens(rng, 9), 0, std::make_unique<PageTable>(pool, cache)};
        const PrefixMatch match = cache.match(next.tokens);
        const auto got = next.table->attach(match, next.tokens, static_cast<uint64_t>(step),
                                            0, now, Pressure::polite);
        if (got) {
          next.computed = got->cached_tokens;
          live.push_back(std::move(next));
        }
      } else if (!live.empty()) {
        const auto index = static_cast<int64_t>(rng.below(live.size()));
        Live& one = live[static_cast<size_t>(index)];
        if (what == 1) {
          one.computed = static_cast<int32_t>(one.tokens.size());
          one.table->commit(one.tokens, one.computed);
          one.tokens.push_back(static_cast<TokenId>(rng.below(2)));
          if (one.table->reserve(one.computed + 1, now, Pressure::polite)) {
            one.table->commit(one.tokens, ++one.computed);
          } else {
            one.tokens.pop_back();
          }
        } else if (what == 2) {
          one.table->share_tail(one.tokens, one.computed);
        } else {
          const Retention retention{.keep_until = at_ms(step + static_cast<int>(rng.below(20))),
                                    .pin_tokens = static_cast<int32_t>(rng.below(5)),
                                    .pin_owner = rng.below(3),
                                    .pins_max = 3,
                                    .drop = rng.below(4) == 0};
          one.table->release(one.tokens, one.computed, retention, now);
          if (rng.below(3) == 0)
            cache.forget(one.tokens, static_cast<int32_t>(rng.below(one.tokens.size() + 2)));
          if (rng.below(2) == 0) cache.unpin(rng.below(3));
          CHECK(cache.pinned_count() <= 3);
          live.erase(live.begin() + index);
        }
      }
      std::vector<int32_t> counts(static_cast<size_t>(pool.total()), 0);
      cache.count_references(counts);
      for (const Live& one : live) {
        one.table->count_references(counts);
        one.table->check_integrity(one.tokens, one.computed);
      }
      for (Page page = 0; page < pool.total(); ++page)
        REQUIRE(counts[static_cast<size_t>(page)] == pool.refs(page));
      cache.check_integrity();
      pool.check_integrity();
    }
    for (Live& one : live) one.table->release(one.tokens, one.computed, {}, at_ms(1000));
    cache.clear();
    CHECK(pool.free_count() == pool.total());
  }
}
