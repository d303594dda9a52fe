// Filters: value | NAME.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "engine/text/jinja/runtime.h"
#include "engine/text/jinja/unicode.h"

namespace swarm::engine::text::jinja {
namespace {

using Filter = Value (*)(Runtime&, const Value&, const Arguments&);

Value tojson(Runtime& runtime, const Value& input, const Arguments& arguments) {
  arguments.check("tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii_only = arguments.flag(0, "ensure_ascii");
  if (const Value* indent = arguments.find(1, "indent"); indent && !indent->is_none()) {
    style.indent = static_cast<int>(std::clamp<int64_t>(to_index(*indent, "indent"), 0, 64));
    style.item_separator = ",";
  }
  if (const Value* both = arguments.find(2, "separators"); both && !both->is_none()) {
    const Sequence* pair = both->as_sequence();
    if (pair == nullptr || pair->items.size() != 2) fail("expected two separators");
    style.item_separator = to_text(pair->items[0]).text();
    style.key_separator = to_text(pair->items[1]).text();
  }
  style.sort_keys = arguments.flag(3, "sort_keys");
  const std::string text = to_json(input, style);
  runtime.charge_bytes(text.size());
  return Value::string(text);
}

Value default_filter(Runtime&, const Value& input, const Arguments& arguments) {
  arguments.check("default", {"default_value", "boolean"});
  const bool replaced = input.is_undefined() || (arguments.flag(1, "boolean") && !truth(input));
  if (!replaced) return input;
  const Value* otherwise = arguments.find(0, "default_value");
  return otherwise != nullptr ? *otherwise : Value::string("");
}

// "a.b.0" inside map(attribute=...) and its relatives.
Value dotted(Runtime& runtime, Value value, std::string_view path) {
  while (!path.empty()) {
    const std::string_view part = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(path.size(), part.size() + 1));
    int64_t index = 0;
    const auto parsed = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool number = parsed.ec == std::errc{} && parsed.ptr == part.data() + part.size();
    value = get_item(runtime, value, number ? Value::integer(index) : Value::string(part));
  }
  return value;
}

Value join_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  arguments.check("join", {"d", "attribute"});
  List items = iterate(input);
  const std::string attribute = arguments.text(1, "attribute", "");
  if (!attribute.empty())
    for (Value& item : items) item = dotted(runtime, item, attribute);
  const Value* separator = arguments.find(0, "d");
  return Value::string(join(runtime, separator ? to_text(*separator) : MarkedText(), items));
}

Value edge(const Value& input, const Arguments& arguments, bool last) {
  arguments.check(last ? "last" : "first", {});
  const List items = iterate(input);
  if (items.empty()) return Value::undefined(last ? "the last item" : "the first item");
  return last ? items.back() : items.front();
}

Value reverse(Runtime& runtime, const Value& input, const Arguments& arguments) {
  arguments.check("reverse", {});
  if (input.is_string())
    return slice(runtime, input, Value::none(), Value::none(), Value::integer(-1));
  List items = iterate(input);
  std::reverse(items.begin(), items.end());
  return Value::list(std::move(items));
}

Value items_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  arguments.check("items", {});
  if (input.is_undefined()) return Value::list({});
  if (input.as_dict() == nullptr)
    fail("expected a mapping, found " + std::string(input.kind_name()));
  return call_method(runtime, input, "items", {});
}

Value int_filter(Runtime&, const Value& input, const Arguments& arguments) {
  arguments.check("int", {"default"});
  const Value* otherwise = arguments.find(0, "default");
  const Value fallback = otherwise != nullptr ? *otherwise : Value::integer(0);
  const auto from_double = [&](double value) {
    if (!(std::abs(value) < 9.2e18)) return fallback;
    return Value::integer(static_cast<int64_t>(value));
  };
  if (const Undefined* undefined = input.as_undefined()) fail(undefined->name + " is undefined");
  if (input.is_number()) return from_double(*input.as_number());
  if (input.is_numeric()) return Value::integer(to_index(input, ""));
  if (!input.is_string()) return fallback;
  const std::string text = strip(*input.as_string(), nullptr, true, true).text();
  const char* first = text.data() + (text.starts_with('+') ? 1 : 0);
  const char* last = text.data() + text.size();
  int64_t value = 0;
  const auto whole = [&](std::from_chars_result end) {
    return end.ptr == last && end.ec == std::errc{};
  };
  if (whole(std::from_chars(first, last, value))) return Value::integer(value);
  double real = 0;
  if (whole(std::from_chars(first, last, real))) return from_double(real);
  return fallback;
}

Value float_filter(Runtime&, const Value& input, const Arguments& arguments) {
  arguments.check("float", {"default"});
  const Value* otherwise = arguments.find(0, "default");
  if (const Undefined* undefined = input.as_undefined()) fail(undefined->name + " is undefined");
  if (input.is_numeric()) return Value::number(to_double(input));
  if (input.is_string()) {
    const std::string text = strip(*input.as_string(), nullptr, true, true).text();
    const char* first = text.data() + (text.starts_with('+') ? 1 : 0);
    const char* last = text.data() + text.size();
    double value = 0;
    if (const auto end = std::from_chars(first, last, value);
        end.ptr == last && end.ec == std::errc{})
      return Value::number(value);
  }
  return otherwise != nullptr ? *otherwise : Value::number(0);
}

Value indent(Runtime& runtime, const Value& input, const Arguments& arguments) {
  arguments.check("indent", {"width", "first", "blank"});
  const Value* width = arguments.find(0, "width");
  MarkedText margin(std::string(4, ' '), Trust::trusted);
  if (width != nullptr && width->is_string()) margin = *width->as_string();
  if (width != nullptr && !width->is_string()) {
    const auto count = std::clamp<int64_t>(to_index(*width, "width"), 0, 1000);
    margin = MarkedText(std::string(static_cast<size_t>(count), ' '), Trust::trusted);
  }
  const bool blank_lines = arguments.flag(2, "blank");
  MarkedText text = to_text(input);
  text.append("\n", Trust::trusted);  // so that a final newline starts a (blank) last line
  const Value lines = call_string_method(runtime, text, "splitlines", {});
  MarkedText out;
  bool first = true;
  for (const Value& line : lines.as_sequence()->items) {
    const MarkedText& content = *line.as_string();
    if (!first) out.append("\n", Trust::trusted);
    if (first ? arguments.flag(1, "first") : blank_lines || !content.empty()) out.append(margin);
    out.append(content);
    runtime.charge_bytes(out.size());
    first = false;
  }
  return Value::string(std::move(out));
}

Arguments rest_of(const Arguments& arguments, size_t skip) {
  Arguments rest;
  for (size_t i = skip; i < arguments.positional.size(); ++i)
    rest.positional.push_back(arguments.positional[i]);
  return rest;
}

Value map_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  List out;
  const Value* attribute = find(arguments.keywords, "attribute");
  const Value* otherwise = find(arguments.keywords, "default");
  const std::string filter = attribute ? "" : arguments.text(0, "filter", "");
  if (attribute == nullptr && !is_filter(filter)) fail("unknown filter \"" + filter + "\" in map");
  for (const Value& item : iterate(input)) {
    runtime.charge(1);
    if (attribute == nullptr) {
      out.push_back(apply_filter(runtime, filter, item, rest_of(arguments, 1)));
      continue;
    }
    Value found = dotted(runtime, item, to_text(*attribute).text());
    out.push_back(found.is_undefined() && otherwise != nullptr ? *otherwise : std::move(found));
  }
  return Value::list(std::move(out));
}

// select, reject (test the item) and selectattr, rejectattr (test an attribute of it).
Value choose(Runtime& runtime, const Value& input, const Arguments& arguments, bool attribute,
             bool wanted) {
  const size_t at = attribute ? 1 : 0;
  const std::string path = attribute ? arguments.text(0, "attribute", "") : "";
  const std::string test = arguments.text(at, "test", "");
  if (!test.empty() && !is_test(test)) fail("unknown test \"" + test + "\"");
  List out;
  for (const Value& item : iterate(input)) {
    runtime.charge(1);
    const Value tested = attribute ? dotted(runtime, item, path) : item;
    const bool passes =
        test.empty() ? truth(tested)
                     : apply_test(runtime, test, tested, rest_of(arguments, at + 1));
    if (passes == wanted) out.push_back(item);
  }
  return Value::list(std::move(out));
}

Value sort_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  arguments.check("sort", {"reverse", "case_sensitive", "attribute"});
  List items = iterate(input);
  const std::string path = arguments.text(2, "attribute", "");
  const bool exact = arguments.flag(1, "case_sensitive"), down = arguments.flag(0, "reverse");
  runtime.charge(items.size() * 8);
  const auto key = [&](const Value& item) {
    Value value = path.empty() ? item : dotted(runtime, item, path);
    if (exact || !value.is_string()) return value;
    return Value::string(change_case(*value.as_string(), CaseChange::lower));
  };
  std::stable_sort(items.begin(), items.end(), [&](const Value& a, const Value& b) {
    return down ? less(key(b), key(a)) : less(key(a), key(b));
  });
  return Value::list(std::move(items));
}

template <CaseChange Change>
Value case_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  arguments.check("this filter", {});
  const MarkedText text = to_text(input);
  runtime.charge_bytes(text.size());
  return Value::string(change_case(text, Change));
}

// Unlike str.title, words begin after blanks, hyphens and opening brackets only.
Value title_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  arguments.check("title", {});
  const MarkedText text = to_text(input);
  runtime.charge_bytes(text.size());
  MarkedText out;
  size_t begin = 0;
  const auto flush = [&](size_t end) {
    if (end == begin) return;
    out.append(change_case(text.substr(begin, end - begin), CaseChange::capitalize));
    begin = end;
  };
  constexpr std::string_view openers = "-({[<";
  for (const CodePoint& c : code_points(text.text())) {
    const bool opens =
        c.value < 0x80 && openers.find(static_cast<char>(c.value)) != std::string_view::npos;
    if (!opens && !is_space(c.value)) continue;
    flush(c.begin);
    out.append(text.substr(c.begin, c.size));
    begin = c.begin + c.size;
  }
  flush(text.size());
  return Value::string(std::move(out));
}

Value trim(Runtime& runtime, const Value& input, const Arguments& arguments) {
  arguments.check("trim", {"chars"});
  const MarkedText text = to_text(input);
  runtime.charge_bytes(text.size());
  return Value::string(strip(text, arguments.find(0, "chars"), true, true));
}

Value replace_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  arguments.check("replace", {"old", "new", "count"});
  const Value *from = arguments.find(0, "old"), *to = arguments.find(1, "new");
  if (from == nullptr || to == nullptr) fail("expected two strings in replace");
  const Value* count = arguments.find(2, "count");
  const int64_t count_max = count == nullptr || count->is_none() ? -1 : to_index(*count, "count");
  return Value::string(
      replace(runtime, to_text(input), to_text(*from).text(), to_text(*to), count_max));
}

const std::map<std::string_view, Filter>& all_filters() {
  using R = Runtime&;
  using V = const Value&;
  using A = const Arguments&;
  static const std::map<std::string_view, Filter> all = {
      {"tojson", tojson},
      {"trim", trim},
      {"replace", replace_filter},
      {"default", default_filter},
      {"d", default_filter},
      {"length", [](R, V v, A) { return Value::integer(length(v)); }},
      {"count", [](R, V v, A) { return Value::integer(length(v)); }},
      {"join", join_filter},
      {"first", [](R, V v, A a) { return edge(v, a, false); }},
      {"last", [](R, V v, A a) { return edge(v, a, true); }},
      {"reverse", reverse},
      {"list", [](R, V v, A) { return Value::list(iterate(v)); }},
      {"items", items_filter},
      {"string", [](R, V v, A) { return Value::string(to_text(v)); }},
      {"safe", [](R, V v, A) { return v.is_string() ? v : Value::string(to_text(v)); }},
      {"int", int_filter},
      {"float", float_filter},
      {"abs", [](R, V v, A) { return to_double(v) < 0 ? negate(v) : v; }},
      {"upper", case_filter<CaseChange::upper>},
      {"lower", case_filter<CaseChange::lower>},
      {"capitalize", case_filter<CaseChange::capitalize>},
      {"title", title_filter},
      {"indent", indent},
      {"map", map_filter},
      {"select", [](R r, V v, A a) { return choose(r, v, a, false, true); }},
      {"reject", [](R r, V v, A a) { return choose(r, v, a, false, false); }},
      {"selectattr", [](R r, V v, A a) { return choose(r, v, a, true, true); }},
      {"rejectattr", [](R r, V v, A a) { return choose(r, v, a, true, false); }},
      {"sort", sort_filter},
  };
  return all;
}

}  // namespace

bool is_filter(std::string_view name) { return all_filters().contains(name); }

Value apply_filter(Runtime& runtime, const std::string& name, const Value& input,
                   const Arguments& arguments) {
  runtime.charge(1);
  return all_filters().at(name)(runtime, input, arguments);
}

}  // namespace swarm::engine::text::jinja
