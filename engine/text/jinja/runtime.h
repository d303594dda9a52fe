// engine/text/jinja/runtime.h — What expressions can do: operators, filters, tests, methods, each a
// plain function of values. All throw Failure on wrong types and unknown names; the work they do is
// charged to the Runtime of the rendering. One thread per rendering.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/jinja.h"
#include "engine/text/jinja/value.h"

namespace swarm::engine::text::jinja {

class Runtime {
 public:
  explicit Runtime(const Limits& limits) : limits_(limits) {}
  void charge(uint64_t steps);
  // Charges for a string of so many bytes; refuses one that is too long.
  void charge_bytes(size_t bytes);
  const Limits& limits() const { return limits_; }

 private:
  Limits limits_;
  uint64_t steps_ = 0;
};

struct Arguments {
  List positional;
  Dict keywords;

  // The argument at a position or of that name; nullptr if not given.
  const Value* find(size_t index, std::string_view name) const;
  // Refuses more positional arguments than names and keywords that are not among them.
  void check(std::string_view callee, const std::vector<std::string_view>& names) const;
  std::string text(size_t index, std::string_view name, std::string_view otherwise) const;
  int64_t integer(size_t index, std::string_view name, int64_t otherwise) const;
  bool flag(size_t index, std::string_view name) const;
};

// operators.cpp
Value binary(Runtime& runtime, Operator op, const Value& a, const Value& b);
bool compare(Runtime& runtime, Operator op, const Value& a, const Value& b);
Value negate(const Value& value);
Value get_attribute(const Value& object, const std::string& name);
Value get_item(Runtime& runtime, const Value& object, const Value& key);
// start, stop, step may be none.
Value slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
            const Value& step);

// filters.cpp, tests.cpp
Value apply_filter(Runtime& runtime, const std::string& name, const Value& input,
                   const Arguments& arguments);
bool apply_test(Runtime& runtime, const std::string& name, const Value& value,
                const Arguments& arguments);
bool is_filter(std::string_view name);
bool is_test(std::string_view name);

// methods.cpp, string_methods.cpp
bool has_method(const Value& self, std::string_view name);
Value call_method(Runtime& runtime, const Value& self, const std::string& name,
                  const Arguments& arguments);
Value call_string_method(Runtime& runtime, const MarkedText& self, const std::string& name,
                         const Arguments& arguments);
bool is_string_method(std::string_view name);
Value call_function(Runtime& runtime, const std::string& name, const Arguments& arguments);
bool is_function(std::string_view name);

// Pieces shared by filters and methods.
MarkedText strip(const MarkedText& text, const Value* characters, bool left, bool right);
MarkedText replace(Runtime& runtime, const MarkedText& text, std::string_view old_text,
                   const MarkedText& new_text, int64_t count_max);
MarkedText join(Runtime& runtime, const MarkedText& separator, const List& items);
enum class CaseChange : uint8_t { upper, lower, title, capitalize };
MarkedText change_case(const MarkedText& text, CaseChange change);

}  // namespace swarm::engine::text::jinja
