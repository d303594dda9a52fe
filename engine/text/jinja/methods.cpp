// Methods of mappings and lists, and the global functions.
#include <algorithm>
#include <array>

#include "engine/text/jinja/runtime.h"

namespace swarm::engine::text::jinja {
namespace {

constexpr std::array<std::string_view, 5> kDictMethods = {"get", "items", "keys", "values", "copy"};
constexpr std::array<std::string_view, 2> kListMethods = {"index", "count"};
constexpr std::array<std::string_view, 4> kFunctions = {"range", "namespace", "raise_exception",
                                                        "dict"};
constexpr int64_t kRangeMax = 1'000'000;

template <size_t N>
bool one_of(const std::array<std::string_view, N>& all, std::string_view name) {
  return std::find(all.begin(), all.end(), name) != all.end();
}

Value call_dict_method(const Value& self, const Dict& dict, const std::string& name,
                       const Arguments& arguments) {
  if (name == "get") {
    arguments.check("get", {"key", "default"});
    const Value* key = arguments.find(0, "key");
    if (key == nullptr) fail("expected a key in get");
    const Value* found = key->is_string() ? find(dict, key->as_string()->text()) : nullptr;
    if (found != nullptr) return *found;
    const Value* otherwise = arguments.find(1, "default");
    return otherwise != nullptr ? *otherwise : Value::none();
  }
  arguments.check(name, {});
  if (name == "copy") return self;
  List out;
  for (const auto& [key, value] : dict) {
    if (name == "keys") {
      out.push_back(Value::string(key));
    } else if (name == "values") {
      out.push_back(value);
    } else {
      out.push_back(Value::tuple({Value::string(key), value}));
    }
  }
  return Value::list(std::move(out));
}

Value call_list_method(const Sequence& self, const std::string& name, const Arguments& arguments) {
  arguments.check(name, {"value"});
  const Value* wanted = arguments.find(0, "value");
  if (wanted == nullptr) fail("expected a value in " + name);
  int64_t count = 0;
  for (size_t i = 0; i < self.items.size(); ++i) {
    if (!equal(self.items[i], *wanted)) continue;
    if (name == "index") return Value::integer(static_cast<int64_t>(i));
    ++count;
  }
  if (name == "index") fail("the value is not in the list");
  return Value::integer(count);
}

Value make_range(Runtime& runtime, const Arguments& arguments) {
  arguments.check("range", {"start", "stop", "step"});
  const size_t given = arguments.positional.size();
  if (given == 0) fail("expected one to three numbers in range");
  const int64_t first = arguments.integer(0, "start", 0);
  const int64_t start = given > 1 ? first : 0;
  const int64_t stop = given > 1 ? arguments.integer(1, "stop", 0) : first;
  const int64_t step = arguments.integer(2, "step", 1);
  if (step == 0) fail("expected a step other than 0 in range");
  List out;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<int64_t>(out.size()) >= kRangeMax)
      fail("expected at most " + std::to_string(kRangeMax) + " numbers in range");
    runtime.charge(1);
    out.push_back(Value::integer(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return Value::list(std::move(out));
}

Dict members_of(const std::string& callee, const Arguments& arguments) {
  Dict members;
  const auto put = [&](const std::string& key, const Value& value) {
    for (auto& [name, held] : members)
      if (name == key) {
        held = value;
        return;
      }
    members.emplace_back(key, value);
  };
  for (const Value& source : arguments.positional) {
    const Dict* dict = source.as_dict();
    if (dict == nullptr) fail("expected mappings or names in " + callee);
    for (const auto& [key, value] : *dict) put(key, value);
  }
  for (const auto& [key, value] : arguments.keywords) put(key, value);
  return members;
}

// loop.cycle(a, b, ...): loop is a mapping with its own index0.
Value cycle(const Value& loop, const Arguments& arguments) {
  const Dict* members = loop.as_dict();
  const Value* index = members == nullptr ? nullptr : find(*members, "index0");
  if (index == nullptr || arguments.positional.empty()) fail("expected values in cycle");
  const auto at = static_cast<size_t>(to_index(*index, "index"));
  return arguments.positional[at % arguments.positional.size()];
}

}  // namespace

bool has_method(const Value& self, std::string_view name) {
  if (self.is_string()) return is_string_method(name);
  if (self.as_dict() != nullptr) return one_of(kDictMethods, name);
  if (const Sequence* sequence = self.as_sequence(); sequence != nullptr)
    return one_of(kListMethods, name);
  return false;
}

Value call_method(Runtime& runtime, const Value& self, const std::string& name,
                  const Arguments& arguments) {
  if (const MarkedText* text = self.as_string())
    return call_string_method(runtime, *text, name, arguments);
  runtime.charge(static_cast<uint64_t>(length(self)));
  if (name == "cycle") return cycle(self, arguments);
  if (const Dict* dict = self.as_dict()) return call_dict_method(self, *dict, name, arguments);
  return call_list_method(*self.as_sequence(), name, arguments);
}

bool is_function(std::string_view name) { return one_of(kFunctions, name); }

Value call_function(Runtime& runtime, const std::string& name, const Arguments& arguments) {
  if (name == "range") return make_range(runtime, arguments);
  if (name == "namespace") return Value::name_space(members_of(name, arguments));
  if (name == "dict") return Value::dict(members_of(name, arguments));
  arguments.check("raise_exception", {"message"});
  fail("the template refuses: " + arguments.text(0, "message", ""));
}

const Value* Arguments::find(size_t index, std::string_view name) const {
  if (index < positional.size()) return &positional[index];
  return jinja::find(keywords, name);
}

void Arguments::check(std::string_view callee, const std::vector<std::string_view>& names) const {
  if (positional.size() > names.size())
    fail("expected at most " + std::to_string(names.size()) + " arguments of " +
         std::string(callee) + ", found " + std::to_string(positional.size()));
  for (const auto& [key, value] : keywords)
    if (std::find(names.begin(), names.end(), key) == names.end())
      fail("unknown argument \"" + key + "\" of " + std::string(callee));
}

std::string Arguments::text(size_t index, std::string_view name, std::string_view otherwise) const {
  const Value* value = find(index, name);
  if (value == nullptr) return std::string(otherwise);
  if (!value->is_string())
    fail("expected a string as " + std::string(name) + ", found " +
         std::string(value->kind_name()));
  return value->as_string()->text();
}

int64_t Arguments::integer(size_t index, std::string_view name, int64_t otherwise) const {
  const Value* value = find(index, name);
  return value == nullptr ? otherwise : to_index(*value, name);
}

bool Arguments::flag(size_t index, std::string_view name) const {
  const Value* value = find(index, name);
  return value != nullptr && truth(*value);
}

void Runtime::charge(uint64_t steps) {
  if (steps > limits_.steps_max - steps_)
    throw Failure{ErrorKind::invalid_input,
                  "expected at most " + std::to_string(limits_.steps_max) + " steps"};
  steps_ += steps;
}

void Runtime::charge_bytes(size_t bytes) {
  if (bytes > limits_.output_bytes_max)
    throw Failure{ErrorKind::invalid_input,
                  "expected at most " + std::to_string(limits_.output_bytes_max) +
                      " bytes of text"};
  charge(1 + bytes / 64);
}

}  // namespace swarm::engine::text::jinja
