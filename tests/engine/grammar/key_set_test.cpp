// Sets of keys and growing texts against std::set and std::string, and at sizes at which anything
// recursive or quadratic would be noticed.
#include "engine/grammar/key_set.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "engine/base/rng.h"

namespace swarm::test {
namespace {

using engine::grammar::KeySet;
using engine::grammar::KeyText;

std::string random_key(Rng& rng) {
  std::string key;
  for (uint64_t i = rng.below(5); i > 0; --i) key += static_cast<char>('a' + rng.below(3));
  return key;
}

std::vector<std::string> with_prefix(const std::set<std::string>& keys, const std::string& prefix) {
  std::vector<std::string> found;
  for (const std::string& key : keys) {
    if (key.starts_with(prefix)) found.push_back(key);
  }
  return found;
}

}  // namespace

TEST_CASE("key set: says what std::set says, and every earlier version stays as it was") {
  Rng rng(1);
  for (int round = 0; round < 50; ++round) {
    std::vector<KeySet> versions(1);
    std::vector<std::set<std::string>> wanted(1);
    for (int step = 0; step < 40; ++step) {
      const size_t from = rng.below(versions.size());
      const std::string key = random_key(rng);
      versions.push_back(versions[from].with(key));
      wanted.push_back(wanted[from]);
      wanted.back().insert(key);
    }
    for (size_t i = 0; i < versions.size(); ++i) {
      CHECK(versions[i].size() == wanted[i].size());
      for (int probe = 0; probe < 20; ++probe) {
        const std::string text = random_key(rng);
        CHECK(versions[i].contains(text) == wanted[i].contains(text));
        const auto want = with_prefix(wanted[i], text);
        std::vector<std::string> found;
        versions[i].visit_with_prefix(text, [&](const std::string& k) { found.push_back(k); });
        CHECK(found == want);
        CHECK(versions[i].count_with_prefix(text) == want.size());
      }
      const size_t j = rng.below(versions.size());
      CHECK((versions[i] == versions[j]) == (wanted[i] == wanted[j]));
      if (wanted[i] == wanted[j]) CHECK(versions[i].hash() == versions[j].hash());
    }
  }
}

TEST_CASE("key set: equal keys in any order are equal sets") {
  std::vector<std::string> keys;
  for (int i = 0; i < 500; ++i) keys.push_back("key" + std::to_string(i * 7919 % 1000));
  KeySet up, down;
  for (const std::string& key : keys) up = up.with(key);
  std::reverse(keys.begin(), keys.end());
  for (const std::string& key : keys) down = down.with(key);
  CHECK(up == down);
  CHECK(up.hash() == down.hash());
  CHECK_FALSE(up == down.with("another"));
}

TEST_CASE("key set: half a million keys are added and freed without deep recursion") {
  KeySet set;
  for (int i = 0; i < 500'000; ++i) set = set.with("k" + std::to_string(i));   // in one direction
  CHECK(set.size() == 500'000);
  CHECK(set.contains("k499999"));
  CHECK(set.count_with_prefix("k49999") == 11);
  const KeySet copy = set;
  set = {};
  CHECK(copy.size() == 500'000);
}

TEST_CASE("key text: grows like a string and copies go their own way") {
  Rng rng(2);
  std::string want;
  KeyText text;
  for (int i = 0; i < 2000; ++i) {
    const char c = static_cast<char>(rng.below(256));
    KeyText other = text;
    other.push(static_cast<char>(c ^ 1));
    CHECK(other.text() == want + static_cast<char>(c ^ 1));
    text.push(c);
    want += c;
    CHECK_FALSE(text == other);
    if (i % 97 == 0) CHECK(text.text() == want);
  }
  KeyText again;
  for (const char c : want) again.push(c);
  CHECK(again == text);
  CHECK(again.hash() == text.hash());
  CHECK(text.size() == 2000);
}

TEST_CASE("key text: compares like std::string, whole and cut, around the borders of its pieces") {
  Rng rng(3);
  const auto sign = [](int order) { return order < 0 ? -1 : order > 0 ? 1 : 0; };
  const size_t sizes[] = {0, 1, 2, 254, 255, 256, 257, 511, 512, 513, 768, 1000};
  for (const size_t a_size : sizes) {
    for (const size_t b_size : sizes) {
      for (int kind = 0; kind < 4; ++kind) {
        std::string a(a_size, 'm'), b(b_size, 'm');
        if (kind > 1 && a_size > 0) a[rng.below(a_size)] = kind == 2 ? 'a' : 'z';
        if (kind == 1 && b_size > 0) b.back() = 'a';
        const KeyText left(a), right(b);
        CAPTURE(a_size);
        CAPTURE(b_size);
        CHECK(sign(left.compare(right)) == sign(a.compare(b)));
        CHECK((left == right) == (a == b));
        for (const size_t most : sizes) {
          CHECK(sign(left.compare(right, most)) ==
                sign(std::string_view(a).substr(0, most).compare(b)));
        }
      }
    }
  }
}

TEST_CASE("key set: long keys that differ late are told apart") {
  KeySet set;
  const std::string stem(700, 'k');
  for (int i = 0; i < 100; ++i) set = set.with(stem + std::to_string(i));
  CHECK(set.size() == 100);
  CHECK(set.contains(stem + "42"));
  CHECK_FALSE(set.contains(stem));
  CHECK_FALSE(set.contains(stem + "421"));
  CHECK(set.count_with_prefix(stem + "4") == 11);
}

TEST_CASE("key text: 64 MiB of one key are freed without deep recursion") {
  KeyText text;
  for (size_t i = 0; i < size_t{64} << 20; ++i) text.push('x');
  CHECK(text.size() == size_t{64} << 20);
  const KeyText copy = text;
  text = {};
  CHECK(copy.text().size() == size_t{64} << 20);
}

}  // namespace swarm::test
