#include <algorithm>
#include <cmath>

#include "engine/text/jinja/runtime.h"
#include "engine/text/jinja/unicode.h"

namespace swarm::engine::text::jinja {
namespace {

[[noreturn]] void refuse(std::string_view op, const Value& a, const Value& b) {
  for (const Value* value : {&a, &b})
    if (const Undefined* undefined = value->as_undefined()) fail(undefined->name + " is undefined");
  fail("\"" + std::string(op) + "\" does not work on " + std::string(a.kind_name()) + " and " +
       std::string(b.kind_name()));
}

// Integer arithmetic as Python does it, refused instead of wrapped beyond 64 bits.
Value integer_arithmetic(Operator op, int64_t a, int64_t b) {
  int64_t out = 0;
  bool overflow = false;
  switch (op) {
    case Operator::add:
      overflow = __builtin_add_overflow(a, b, &out);
      break;
    case Operator::subtract:
      overflow = __builtin_sub_overflow(a, b, &out);
      break;
    case Operator::multiply:
      overflow = __builtin_mul_overflow(a, b, &out);
      break;
    case Operator::floor_divide:
    case Operator::modulo: {
      if (b == 0) fail("division by zero");
      if (b == -1) {  // INT64_MIN / -1 does not fit
        if (op == Operator::modulo) return Value::integer(0);
        overflow = __builtin_sub_overflow(int64_t{0}, a, &out);
        break;
      }
      const int64_t rest = a % b;
      const bool adjust = rest != 0 && (rest < 0) != (b < 0);  // Python rounds down
      out = op == Operator::modulo ? (adjust ? rest + b : rest) : a / b - (adjust ? 1 : 0);
      break;
    }
    default: {  // power by squaring, b >= 0
      out = 1;
      bool too_big = false;  // a itself; counts only if it is used again
      for (; b > 0; b >>= 1) {
        if ((b & 1) != 0) overflow = overflow || too_big || __builtin_mul_overflow(out, a, &out);
        too_big = too_big || __builtin_mul_overflow(a, a, &a);
      }
      break;
    }
  }
  if (overflow) fail("expected an integer of at most 64 bits as result");
  return Value::integer(out);
}

Value arithmetic(Operator op, const Value& a, const Value& b) {
  const bool integers = !a.is_number() && !b.is_number();
  const bool real = op == Operator::divide ||
                    (op == Operator::power && integers && to_index(b, "exponent") < 0);
  if (integers && !real) return integer_arithmetic(op, to_index(a, ""), to_index(b, ""));
  const double x = to_double(a), y = to_double(b);
  switch (op) {
    case Operator::add:
      return Value::number(x + y);
    case Operator::subtract:
      return Value::number(x - y);
    case Operator::multiply:
      return Value::number(x * y);
    case Operator::power:
      return Value::number(std::pow(x, y));
    default:
      break;
  }
  if (y == 0) fail("division by zero");
  if (op == Operator::divide) return Value::number(x / y);
  if (op == Operator::floor_divide) return Value::number(std::floor(x / y));
  const double rest = std::fmod(x, y);
  return Value::number(rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest);
}

Value repeat(Runtime& runtime, const Value& value, int64_t count) {
  count = std::max<int64_t>(count, 0);
  const auto times = static_cast<size_t>(count);
  if (const MarkedText* text = value.as_string()) {
    if (text->empty()) return value;
    if (times > runtime.limits().output_bytes_max) runtime.charge_bytes(times);
    runtime.charge_bytes(times * text->size());
    MarkedText out;
    for (size_t i = 0; i < times; ++i) out.append(*text);
    return Value::string(std::move(out));
  }
  const Sequence& sequence = *value.as_sequence();
  if (sequence.items.empty()) return value;
  runtime.charge(static_cast<uint64_t>(times));
  runtime.charge(static_cast<uint64_t>(times * sequence.items.size()));
  List out;
  for (size_t i = 0; i < times; ++i)
    out.insert(out.end(), sequence.items.begin(), sequence.items.end());
  return sequence.tuple ? Value::tuple(std::move(out)) : Value::list(std::move(out));
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  if (container.is_undefined()) return false;
  if (const MarkedText* text = container.as_string()) {
    runtime.charge_bytes(text->size());
    if (!item.is_string()) refuse("in", item, container);
    return text->text().find(item.as_string()->text()) != std::string::npos;
  }
  if (const Dict* dict = container.as_dict())
    return item.is_string() && find(*dict, item.as_string()->text()) != nullptr;
  if (const Sequence* sequence = container.as_sequence()) {
    runtime.charge(sequence->items.size());
    return std::any_of(sequence->items.begin(), sequence->items.end(),
                       [&](const Value& one) { return equal(one, item); });
  }
  refuse("in", item, container);
}

// Python's slice.indices: where to start, where to stop, how to step over `count` items.
struct SliceRange {
  int64_t start = 0, stop = 0, step = 1;
};
SliceRange slice_range(int64_t count, const Value& start, const Value& stop, const Value& step) {
  SliceRange out;
  if (!step.is_none()) out.step = to_index(step, "slice step");
  if (out.step == 0) fail("expected a slice step other than 0");
  const int64_t low = out.step < 0 ? -1 : 0;
  const int64_t high = out.step < 0 ? count - 1 : count;
  const auto place = [&](const Value& value, int64_t otherwise) {
    if (value.is_none()) return otherwise;
    int64_t index = to_index(value, "slice bound");
    if (index < 0) index = std::max(index, -count - 1) + count;
    return std::clamp(index, low, high);
  };
  out.start = place(start, out.step < 0 ? high : low);
  out.stop = place(stop, out.step < 0 ? low : high);
  return out;
}

template <class Visit>
void for_each_index(const SliceRange& range, const Visit& visit) {
  // Bounded by the item count; a huge step ends after one item.
  for (int64_t i = range.start; range.step > 0 ? i < range.stop : i > range.stop;) {
    visit(static_cast<size_t>(i));
    if (__builtin_add_overflow(i, range.step, &i)) break;
  }
}

}  // namespace

Value binary(Runtime& runtime, Operator op, const Value& a, const Value& b) {
  if (a.is_numeric() && b.is_numeric()) return arithmetic(op, a, b);
  if (op == Operator::add) {
    if (a.is_string() && b.is_string()) {
      runtime.charge_bytes(a.as_string()->size() + b.as_string()->size());
      MarkedText out = *a.as_string();
      out.append(*b.as_string());
      return Value::string(std::move(out));
    }
    const Sequence *left = a.as_sequence(), *right = b.as_sequence();
    if (left != nullptr && right != nullptr && left->tuple == right->tuple) {
      runtime.charge(left->items.size() + right->items.size());
      List out = left->items;
      out.insert(out.end(), right->items.begin(), right->items.end());
      return left->tuple ? Value::tuple(std::move(out)) : Value::list(std::move(out));
    }
    refuse("+", a, b);
  }
  if (op == Operator::multiply) {
    const auto repeatable = [](const Value& v) { return v.is_string() || v.as_sequence(); };
    if (repeatable(a) && (b.is_integer() || b.is_boolean()))
      return repeat(runtime, a, to_index(b, ""));
    if (repeatable(b) && (a.is_integer() || a.is_boolean()))
      return repeat(runtime, b, to_index(a, ""));
  }
  switch (op) {
    case Operator::subtract:
      refuse("-", a, b);
    case Operator::multiply:
      refuse("*", a, b);
    case Operator::divide:
      refuse("/", a, b);
    case Operator::floor_divide:
      refuse("//", a, b);
    case Operator::modulo:
      refuse("%", a, b);
    default:
      refuse("**", a, b);
  }
}

bool compare(Runtime& runtime, Operator op, const Value& a, const Value& b) {
  const auto ordered = [&](const Value& x, const Value& y) {
    if (a.is_undefined() || b.is_undefined()) refuse("<", a, b);
    return less(x, y);
  };
  switch (op) {
    case Operator::equal:
      return equal(a, b);
    case Operator::not_equal:
      return !equal(a, b);
    case Operator::less:
      return ordered(a, b);
    case Operator::less_equal:
      return ordered(a, b) || equal(a, b);
    case Operator::greater:
      return ordered(b, a);
    case Operator::greater_equal:
      return ordered(b, a) || equal(a, b);
    case Operator::in:
      return contains(runtime, b, a);
    default:
      return !contains(runtime, b, a);
  }
}

Value negate(const Value& value) {
  if (value.is_number()) return Value::number(-*value.as_number());
  if (!value.is_numeric()) fail("\"-\" does not work on " + std::string(value.kind_name()));
  return integer_arithmetic(Operator::subtract, 0, to_index(value, ""));
}

Value get_attribute(const Value& object, const std::string& name) {
  if (const Undefined* undefined = object.as_undefined()) fail(undefined->name + " is undefined");
  if (has_method(object, name))
    return Value::callable({.kind = Callable::Kind::method,
                            .name = name,
                            .self = std::make_shared<const Value>(object)});
  const Namespace* space = object.as_namespace();
  const Dict* members = space != nullptr ? &space->members : object.as_dict();
  const Value* found = members == nullptr ? nullptr : find(*members, name);
  if (found != nullptr) return *found;
  return Value::undefined("\"" + name + "\" of " + std::string(object.kind_name()));
}

Value get_item(Runtime& runtime, const Value& object, const Value& key) {
  if (const Undefined* undefined = object.as_undefined()) fail(undefined->name + " is undefined");
  if (key.is_string()) {
    const std::string& name = key.as_string()->text();
    if (const Dict* dict = object.as_dict())
      if (const Value* found = find(*dict, name)) return *found;
    return get_attribute(object, name);
  }
  if (key.is_integer() || key.is_boolean()) {
    const Sequence* sequence = object.as_sequence();
    const MarkedText* text = object.as_string();
    int64_t index = to_index(key, "");
    if (sequence != nullptr) {
      const auto count = static_cast<int64_t>(sequence->items.size());
      if (index < 0) index += count;
      if (index >= 0 && index < count) return sequence->items[static_cast<size_t>(index)];
    } else if (text != nullptr) {
      runtime.charge_bytes(text->size());
      const std::vector<CodePoint> points = code_points(text->text());
      if (index < 0) index += static_cast<int64_t>(points.size());
      if (index >= 0 && index < static_cast<int64_t>(points.size())) {
        const CodePoint& c = points[static_cast<size_t>(index)];
        return Value::string(text->substr(c.begin, c.size));
      }
    }
  }
  return Value::undefined("item " + (key.is_undefined() ? "" : to_repr(key)) + " of " +
                          std::string(object.kind_name()));
}

Value slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
            const Value& step) {
  if (const Undefined* undefined = object.as_undefined()) fail(undefined->name + " is undefined");
  if (const MarkedText* text = object.as_string()) {
    runtime.charge_bytes(text->size() * 8);  // one code point entry per character
    const std::vector<CodePoint> points = code_points(text->text());
    const SliceRange range =
        slice_range(static_cast<int64_t>(points.size()), start, stop, step);
    MarkedText out;
    for_each_index(range, [&](size_t i) {
      out.append(text->substr(points[i].begin, points[i].size));
    });
    return Value::string(std::move(out));
  }
  const Sequence* sequence = object.as_sequence();
  if (sequence == nullptr) fail("cannot slice " + std::string(object.kind_name()));
  runtime.charge(sequence->items.size());
  const SliceRange range =
      slice_range(static_cast<int64_t>(sequence->items.size()), start, stop, step);
  List out;
  for_each_index(range, [&](size_t i) { out.push_back(sequence->items[i]); });
  return sequence->tuple ? Value::tuple(std::move(out)) : Value::list(std::move(out));
}

}  // namespace swarm::engine::text::jinja
