// engine/text/jinja/value.h — The values a template computes with; Python's meaning of truth,
// equality and text. Strings carry trust marks (marked_text.h). Values are immutable and shared,
// except namespaces, which belong to one rendering. Errors are thrown as Failure without a place;
// the interpreter adds line and column and turns them into a Result. One thread per rendering.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "engine/text/marked_text.h"

namespace swarm::engine::text::jinja {

class Value;
struct Statement;
using List = std::vector<Value>;
// In the order written; keys are unique. Looked up linearly: message and schema objects are small.
using Dict = std::vector<std::pair<std::string, Value>>;

struct Undefined {
  std::string name;  // for messages: what was looked up in vain
};
struct None {};
struct Sequence {
  List items;
  bool tuple = false;  // prints as (a, b); otherwise like a list
};
struct Namespace {
  Dict members;
};
struct Callable {
  enum class Kind : uint8_t { function, method, macro } kind = Kind::function;
  std::string name;
  std::shared_ptr<const Value> self = nullptr;  // of a method
  const Statement* macro = nullptr;             // owned by the template being rendered
};

// What went wrong inside a template; see the head comment.
struct Failure {
  ErrorKind kind = ErrorKind::invalid_input;
  std::string message;
};
[[noreturn]] void fail(std::string message);
[[noreturn]] void fail_unsupported(std::string message);

class Value {
 public:
  Value() = default;  // undefined
  static Value undefined(std::string name) { return Value(Undefined{std::move(name)}); }
  static Value none() { return Value(None{}); }
  static Value boolean(bool value) { return Value(value); }
  static Value integer(int64_t value) { return Value(value); }
  static Value number(double value) { return Value(value); }
  static Value string(MarkedText text);
  static Value string(std::string_view text, Trust trust = Trust::untrusted);
  static Value list(List items);
  static Value tuple(List items);
  static Value dict(Dict members);
  static Value name_space(Dict members);
  static Value callable(Callable callable);
  // All strings untrusted.
  static Value from_json(const Json& json);

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  bool is_boolean() const { return std::holds_alternative<bool>(data_); }
  bool is_integer() const { return std::holds_alternative<int64_t>(data_); }
  bool is_number() const { return std::holds_alternative<double>(data_); }
  bool is_string() const { return as_string() != nullptr; }
  bool is_numeric() const { return is_boolean() || is_integer() || is_number(); }

  // The content if it is of that kind, else nullptr.
  const bool* as_boolean() const { return std::get_if<bool>(&data_); }
  const int64_t* as_integer() const { return std::get_if<int64_t>(&data_); }
  const double* as_number() const { return std::get_if<double>(&data_); }
  const Undefined* as_undefined() const { return std::get_if<Undefined>(&data_); }
  const MarkedText* as_string() const { return content<MarkedText>(); }
  const Sequence* as_sequence() const { return content<Sequence>(); }
  const Dict* as_dict() const { return content<Dict>(); }
  const Callable* as_callable() const { return content<Callable>(); }
  Namespace* as_namespace() const;

  std::string_view kind_name() const;  // "string", "list", ... for messages
  bool holds_namespace() const { return holds_namespace_; }

 private:
  template <class T>
  explicit Value(T data) : data_(std::move(data)) {}
  void contain(const Value& part);
  template <class T>
  const T* content() const {
    const auto* held = std::get_if<std::shared_ptr<const T>>(&data_);
    return held == nullptr ? nullptr : held->get();
  }

  std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const MarkedText>,
               std::shared_ptr<const Sequence>, std::shared_ptr<const Dict>,
               std::shared_ptr<Namespace>, std::shared_ptr<const Callable>>
      data_;
  // Levels below this value, bounded at construction: recursion over values cannot overflow the
  // stack. Namespaces, the only things that change, hold no namespace, so there are no cycles.
  int depth_ = 0;
  bool holds_namespace_ = false;
};

const Value* find(const Dict& dict, std::string_view key);

bool truth(const Value& value);
bool equal(const Value& a, const Value& b);          // 1 == 1.0 == true, as in Python
bool less(const Value& a, const Value& b);           // numbers, strings, sequences
double to_double(const Value& value);                // of a numeric value
int64_t to_index(const Value& value, std::string_view what);  // integer or boolean, else Failure

// str() and repr() of Python; a namespace shows no members.
MarkedText to_text(const Value& value);
std::string to_repr(const Value& value);
std::string number_text(double value);               // 1.0, 1e-07, inf

struct JsonStyle {
  int indent = -1;  // < 0: one line
  bool ascii_only = false;
  bool sort_keys = false;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
std::string to_json(const Value& value, const JsonStyle& style = {});

// The items a for loop would see: list items, dict keys, characters; undefined is empty.
List iterate(const Value& value);
// len(); Failure when the value has no length.
int64_t length(const Value& value);

}  // namespace swarm::engine::text::jinja
