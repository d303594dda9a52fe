// Tests: value is NAME.
#include <map>

#include "engine/text/jinja/runtime.h"
#include "engine/text/jinja/unicode.h"

namespace swarm::engine::text::jinja {
namespace {

using Test = bool (*)(Runtime&, const Value&, const Arguments&);

const Value& operand(const Arguments& arguments) {
  const Value* value = arguments.find(0, "other");
  if (value == nullptr) fail("expected a value to compare with");
  return *value;
}

template <Operator Op>
bool compare_test(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return compare(runtime, Op, value, operand(arguments));
}

bool is_iterable(const Value& value) {
  return value.is_undefined() || value.is_string() || value.as_sequence() != nullptr ||
         value.as_dict() != nullptr;
}

int64_t remainder_of(Runtime& runtime, const Value& value, int64_t divisor) {
  return to_index(binary(runtime, Operator::modulo, value, Value::integer(divisor)), "remainder");
}

// same kind, same value; identity is not observable for immutable values
bool same_as(const Value& a, const Value& b) {
  return a.kind_name() == b.kind_name() && equal(a, b);
}

template <bool Upper>
bool case_test(Runtime& runtime, const Value& value, const Arguments&) {
  return truth(call_string_method(runtime, to_text(value), Upper ? "isupper" : "islower", {}));
}

const std::map<std::string_view, Test>& all_tests() {
  using R = Runtime&;
  using V = const Value&;
  using A = const Arguments&;
  static const std::map<std::string_view, Test> all = {
      {"defined", [](R, V v, A) { return !v.is_undefined(); }},
      {"undefined", [](R, V v, A) { return v.is_undefined(); }},
      {"none", [](R, V v, A) { return v.is_none(); }},
      {"string", [](R, V v, A) { return v.is_string(); }},
      {"mapping", [](R, V v, A) { return v.as_dict() != nullptr; }},
      {"iterable", [](R, V v, A) { return is_iterable(v); }},
      // Whatever has a length and items, which includes mappings and undefined values.
      {"sequence", [](R, V v, A) { return is_iterable(v); }},
      {"number", [](R, V v, A) { return v.is_numeric(); }},
      {"integer", [](R, V v, A) { return v.is_integer(); }},
      {"float", [](R, V v, A) { return v.is_number(); }},
      {"boolean", [](R, V v, A) { return v.is_boolean(); }},
      {"true", [](R, V v, A) { return v.is_boolean() && truth(v); }},
      {"false", [](R, V v, A) { return v.is_boolean() && !truth(v); }},
      {"callable", [](R, V v, A) { return v.as_callable() != nullptr; }},
      {"sameas", [](R, V v, A a) { return same_as(v, operand(a)); }},
      {"even", [](R r, V v, A) { return remainder_of(r, v, 2) == 0; }},
      {"odd", [](R r, V v, A) { return remainder_of(r, v, 2) == 1; }},
      {"divisibleby",
       [](R r, V v, A a) { return remainder_of(r, v, to_index(operand(a), "divisor")) == 0; }},
      {"upper", case_test<true>},
      {"lower", case_test<false>},
      {"in", compare_test<Operator::in>},
      {"equalto", compare_test<Operator::equal>},
      {"eq", compare_test<Operator::equal>},
      {"ne", compare_test<Operator::not_equal>},
      {"lt", compare_test<Operator::less>},
      {"le", compare_test<Operator::less_equal>},
      {"gt", compare_test<Operator::greater>},
      {"ge", compare_test<Operator::greater_equal>},
      {"lessthan", compare_test<Operator::less>},
      {"greaterthan", compare_test<Operator::greater>},
  };
  return all;
}

}  // namespace

bool is_test(std::string_view name) { return all_tests().contains(name); }

bool apply_test(Runtime& runtime, const std::string& name, const Value& value,
                const Arguments& arguments) {
  return all_tests().at(name)(runtime, value, arguments);
}

}  // namespace swarm::engine::text::jinja
