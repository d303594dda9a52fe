#include "engine/text/jinja/value.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/text/jinja/unicode.h"

namespace swarm::engine::text::jinja {

void fail(std::string message) { throw Failure{ErrorKind::invalid_input, std::move(message)}; }
void fail_unsupported(std::string message) {
  throw Failure{ErrorKind::unsupported, std::move(message)};
}

Value Value::string(MarkedText text) {
  return Value(std::make_shared<const MarkedText>(std::move(text)));
}
Value Value::string(std::string_view text, Trust trust) {
  return string(MarkedText(std::string(text), trust));
}

namespace {
constexpr int kDepthMax = 200;
}

void Value::contain(const Value& part) {
  depth_ = std::max(depth_, part.depth_ + 1);
  if (depth_ > kDepthMax)
    fail("expected at most " + std::to_string(kDepthMax) + " levels of nested values");
  holds_namespace_ = holds_namespace_ || part.holds_namespace_;
}

Value Value::list(List items) {
  Value made;
  for (const Value& item : items) made.contain(item);
  made.data_ = std::make_shared<const Sequence>(Sequence{std::move(items), false});
  return made;
}
Value Value::tuple(List items) {
  Value made;
  for (const Value& item : items) made.contain(item);
  made.data_ = std::make_shared<const Sequence>(Sequence{std::move(items), true});
  return made;
}
Value Value::dict(Dict members) {
  Value made;
  for (const auto& member : members) made.contain(member.second);
  made.data_ = std::make_shared<const Dict>(std::move(members));
  return made;
}
Value Value::name_space(Dict members) {
  Value made;
  for (const auto& member : members) {
    if (member.second.holds_namespace()) fail("a namespace cannot hold a namespace");
    made.contain(member.second);
  }
  made.holds_namespace_ = true;
  made.data_ = std::make_shared<Namespace>(Namespace{std::move(members)});
  return made;
}
Value Value::callable(Callable callable) {
  Value made;
  if (callable.self) made.contain(*callable.self);
  made.data_ = std::make_shared<const Callable>(std::move(callable));
  return made;
}

Value Value::from_json(const Json& json) {
  switch (json.type()) {
    case Json::value_t::boolean:
      return boolean(json.get<bool>());
    case Json::value_t::number_integer:
      return integer(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      const auto number_value = json.get<uint64_t>();
      if (number_value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
        return number(static_cast<double>(number_value));
      return integer(static_cast<int64_t>(number_value));
    }
    case Json::value_t::number_float:
      return number(json.get<double>());
    case Json::value_t::string:
      return string(json.get_ref<const std::string&>());
    case Json::value_t::array: {
      List items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(from_json(item));
      return list(std::move(items));
    }
    case Json::value_t::object: {
      Dict members;
      members.reserve(json.size());
      for (const auto& [key, item] : json.items()) members.emplace_back(key, from_json(item));
      return dict(std::move(members));
    }
    default:
      return none();
  }
}

Namespace* Value::as_namespace() const {
  const auto* held = std::get_if<std::shared_ptr<Namespace>>(&data_);
  return held == nullptr ? nullptr : held->get();
}

std::string_view Value::kind_name() const {
  if (is_undefined()) return "undefined";
  if (is_none()) return "none";
  if (is_boolean()) return "boolean";
  if (is_integer()) return "integer";
  if (is_number()) return "float";
  if (is_string()) return "string";
  if (const Sequence* sequence = as_sequence()) return sequence->tuple ? "tuple" : "list";
  if (as_dict() != nullptr) return "mapping";
  return as_namespace() != nullptr ? "namespace" : "callable";
}

const Value* find(const Dict& dict, std::string_view key) {
  for (const auto& [name, value] : dict)
    if (name == key) return &value;
  return nullptr;
}

bool truth(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (const bool* flag = value.as_boolean()) return *flag;
  if (const int64_t* number = value.as_integer()) return *number != 0;
  if (const double* number = value.as_number()) return *number != 0;
  if (const MarkedText* text = value.as_string()) return !text->empty();
  if (const Sequence* sequence = value.as_sequence()) return !sequence->items.empty();
  if (const Dict* dict = value.as_dict()) return !dict->empty();
  return true;
}

double to_double(const Value& value) {
  if (const bool* flag = value.as_boolean()) return *flag ? 1 : 0;
  if (const int64_t* number = value.as_integer()) return static_cast<double>(*number);
  if (const double* number = value.as_number()) return *number;
  fail("expected a number, found " + std::string(value.kind_name()));
}

int64_t to_index(const Value& value, std::string_view what) {
  if (const int64_t* number = value.as_integer()) return *number;
  if (const bool* flag = value.as_boolean()) return *flag ? 1 : 0;
  fail("expected an integer " + std::string(what) + ", found " + std::string(value.kind_name()));
}

namespace {

bool equal_dicts(const Dict& a, const Dict& b) {
  if (a.size() != b.size()) return false;
  return std::all_of(a.begin(), a.end(), [&](const auto& member) {
    const Value* other = find(b, member.first);
    return other != nullptr && equal(member.second, *other);
  });
}

}  // namespace

bool equal(const Value& a, const Value& b) {
  if (a.is_numeric() && b.is_numeric()) {
    if (a.as_integer() != nullptr && b.as_integer() != nullptr)
      return *a.as_integer() == *b.as_integer();
    return to_double(a) == to_double(b);
  }
  if (a.is_string() && b.is_string()) return a.as_string()->text() == b.as_string()->text();
  if (a.is_none() || a.is_undefined()) return a.kind_name() == b.kind_name();
  const Sequence *left = a.as_sequence(), *right = b.as_sequence();
  if (left != nullptr && right != nullptr)
    return left->tuple == right->tuple &&
           std::equal(left->items.begin(), left->items.end(), right->items.begin(),
                      right->items.end(), equal);
  if (a.as_dict() != nullptr && b.as_dict() != nullptr)
    return equal_dicts(*a.as_dict(), *b.as_dict());
  return a.as_namespace() != nullptr && a.as_namespace() == b.as_namespace();
}

bool less(const Value& a, const Value& b) {
  if (a.as_integer() != nullptr && b.as_integer() != nullptr)
    return *a.as_integer() < *b.as_integer();
  if (a.is_numeric() && b.is_numeric()) return to_double(a) < to_double(b);
  // UTF-8 sorts bytewise as its code points do.
  if (a.is_string() && b.is_string()) return a.as_string()->text() < b.as_string()->text();
  const Sequence *left = a.as_sequence(), *right = b.as_sequence();
  if (left != nullptr && right != nullptr && left->tuple == right->tuple) {
    const size_t common = std::min(left->items.size(), right->items.size());
    for (size_t i = 0; i < common; ++i)
      if (!equal(left->items[i], right->items[i])) return less(left->items[i], right->items[i]);
    return left->items.size() < right->items.size();
  }
  fail("expected values that can be ordered, found " + std::string(a.kind_name()) + " and " +
       std::string(b.kind_name()));
}

List iterate(const Value& value) {
  if (const Sequence* sequence = value.as_sequence()) return sequence->items;
  List out;
  if (value.is_undefined()) return out;
  if (const Dict* dict = value.as_dict()) {
    for (const auto& member : *dict) out.push_back(Value::string(member.first));
    return out;
  }
  if (const MarkedText* text = value.as_string()) {
    for (const CodePoint& c : code_points(text->text()))
      out.push_back(Value::string(text->substr(c.begin, c.size)));
    return out;
  }
  fail("expected something to iterate over, found " + std::string(value.kind_name()));
}

int64_t length(const Value& value) {
  if (value.is_undefined()) return 0;
  if (const Sequence* sequence = value.as_sequence())
    return static_cast<int64_t>(sequence->items.size());
  if (const Dict* dict = value.as_dict()) return static_cast<int64_t>(dict->size());
  if (const MarkedText* text = value.as_string())
    return static_cast<int64_t>(count_code_points(text->text()));
  fail("expected something with a length, found " + std::string(value.kind_name()));
}

}  // namespace swarm::engine::text::jinja
