// tests/engine/grammar/schema_generator.h — Random JSON Schemas (draft 7 forms) from a seed: every
// keyword the grammar supports, nested, recursive, mostly satisfiable.
#pragma once

#include "engine/base/json.h"
#include "engine/base/rng.h"

namespace swarm::test {

class SchemaGenerator {
 public:
  explicit SchemaGenerator(uint64_t seed) : rng_(seed) {}

  Json document();

 private:
  bool chance(uint64_t percent) { return rng_.below(100) < percent; }
  template <class T>
  const T& pick(const std::vector<T>& values) {
    return values[rng_.below(values.size())];
  }
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(high - low + 1)));
  }

  Json schema(int depth);
  Json text();
  Json number(const char* type);
  Json array(int depth);
  Json object(int depth);
  Json tagged_union(int depth);
  Json combined(int depth);
  Json value(int depth);
  std::string name();

  Rng rng_;
};

}  // namespace swarm::test
