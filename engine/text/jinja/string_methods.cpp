// Methods of strings, as Python has them. Offsets are bytes inside, code points outside.
#include <algorithm>
#include <functional>
#include <limits>
#include <map>

#include "engine/base/utf8.h"
#include "engine/text/jinja/runtime.h"
#include "engine/text/jinja/unicode.h"

namespace swarm::engine::text::jinja {
namespace {

using Method = Value (*)(Runtime&, const MarkedText&, const Arguments&);

Value pieces_to_list(std::vector<MarkedText> pieces) {
  List out;
  for (MarkedText& piece : pieces) out.push_back(Value::string(std::move(piece)));
  return Value::list(std::move(out));
}

// str.split() without a separator: runs of whitespace, no empty pieces.
std::vector<MarkedText> split_at_space(const MarkedText& text, int64_t splits_max) {
  std::vector<MarkedText> out;
  const std::vector<CodePoint> points = code_points(text.text());
  for (size_t i = 0; i < points.size();) {
    if (is_space(points[i].value)) {
      ++i;
      continue;
    }
    size_t end = i;
    if (splits_max >= 0 && static_cast<int64_t>(out.size()) == splits_max) {
      end = points.size();
      out.push_back(strip(text.substr(points[i].begin), nullptr, false, true));
    } else {
      while (end < points.size() && !is_space(points[end].value)) ++end;
      const size_t stop = end < points.size() ? points[end].begin : text.size();
      out.push_back(text.substr(points[i].begin, stop - points[i].begin));
    }
    i = end;
  }
  return out;
}

std::vector<MarkedText> split_at(const MarkedText& text, std::string_view separator,
                                 int64_t splits_max, bool from_right) {
  if (separator.empty()) fail("expected a separator that is not empty");
  std::vector<size_t> cuts;
  const std::string_view all = text.text();
  const auto more = [&] {
    return splits_max < 0 || static_cast<int64_t>(cuts.size()) < splits_max;
  };
  if (from_right) {
    for (size_t end = all.size(); end >= separator.size() && more();) {
      const size_t at = all.rfind(separator, end - separator.size());
      if (at == std::string_view::npos) break;
      cuts.push_back(at);
      end = at;
    }
    std::reverse(cuts.begin(), cuts.end());
  } else {
    for (size_t at = 0; more() && (at = all.find(separator, at)) != std::string_view::npos;
         at += separator.size())
      cuts.push_back(at);
  }
  std::vector<MarkedText> out;
  size_t begin = 0;
  for (const size_t cut : cuts) {
    out.push_back(text.substr(begin, cut - begin));
    begin = cut + separator.size();
  }
  out.push_back(text.substr(begin));
  return out;
}

Value split_method(Runtime& runtime, const MarkedText& self, const Arguments& arguments,
                   bool from_right) {
  arguments.check("split", {"sep", "maxsplit"});
  runtime.charge(self.size());
  const int64_t splits_max = arguments.integer(1, "maxsplit", -1);
  const Value* separator = arguments.find(0, "sep");
  if (separator == nullptr || separator->is_none()) {
    if (from_right && splits_max >= 0)
      fail_unsupported("rsplit with a limit needs a separator here");
    return pieces_to_list(split_at_space(self, splits_max));
  }
  return pieces_to_list(split_at(self, arguments.text(0, "sep", ""), splits_max, from_right));
}

Value strip_method(const MarkedText& self, const Arguments& arguments, bool left, bool right) {
  arguments.check("strip", {"chars"});
  return Value::string(strip(self, arguments.find(0, "chars"), left, right));
}

// startswith and endswith take one string or a tuple of them.
Value affix_method(const MarkedText& self, const Arguments& arguments, bool at_end) {
  arguments.check(at_end ? "endswith" : "startswith", {"affix"});
  const Value* affix = arguments.find(0, "affix");
  if (affix == nullptr) fail("expected the text to look for");
  const auto matches = [&](const Value& one) {
    if (!one.is_string()) fail("expected a string, found " + std::string(one.kind_name()));
    const std::string& text = one.as_string()->text();
    return at_end ? self.text().ends_with(text) : self.text().starts_with(text);
  };
  const Sequence* tuple = affix->as_sequence();
  if (tuple != nullptr && tuple->tuple)
    return Value::boolean(std::any_of(tuple->items.begin(), tuple->items.end(), matches));
  return Value::boolean(matches(*affix));
}

Value find_method(const MarkedText& self, const Arguments& arguments, bool last) {
  arguments.check("find", {"sub"});
  const std::string needle = arguments.text(0, "sub", "");
  const size_t at = last ? self.text().rfind(needle) : self.text().find(needle);
  if (at == std::string::npos) return Value::integer(-1);
  return Value::integer(
      static_cast<int64_t>(count_code_points(std::string_view(self.text()).substr(0, at))));
}

Value count_method(Runtime&, const MarkedText& self, const Arguments& arguments) {
  arguments.check("count", {"sub"});
  const std::string needle = arguments.text(0, "sub", "");
  if (needle.empty())
    return Value::integer(static_cast<int64_t>(count_code_points(self.text())) + 1);
  return Value::integer(static_cast<int64_t>(split_at(self, needle, -1, false).size()) - 1);
}

Value splitlines_method(Runtime& runtime, const MarkedText& self, const Arguments& arguments) {
  arguments.check("splitlines", {});
  runtime.charge(self.size());
  std::vector<MarkedText> lines;
  const std::string& all = self.text();
  size_t begin = 0;
  for (size_t i = 0; i < all.size();) {
    const CodePoint c = code_point_at(all, i);
    i += c.size;
    const bool ends = (c.value >= 10 && c.value <= 13) || (c.value >= 0x1c && c.value <= 0x1e) ||
                      c.value == 0x85 || c.value == 0x2028 || c.value == 0x2029;
    if (!ends) continue;
    lines.push_back(self.substr(begin, c.begin - begin));
    if (c.value == '\r' && i < all.size() && all[i] == '\n') ++i;
    begin = i;
  }
  if (begin < all.size()) lines.push_back(self.substr(begin));
  return pieces_to_list(std::move(lines));
}

Value replace_method(Runtime& runtime, const MarkedText& self, const Arguments& arguments) {
  arguments.check("replace", {"old", "new", "count"});
  const Value* with = arguments.find(1, "new");
  if (with == nullptr || !with->is_string()) fail("expected two strings in replace");
  return Value::string(replace(runtime, self, arguments.text(0, "old", ""), *with->as_string(),
                               arguments.integer(2, "count", -1)));
}

Value join_method(Runtime& runtime, const MarkedText& self, const Arguments& arguments) {
  arguments.check("join", {"iterable"});
  const Value* items = arguments.find(0, "iterable");
  if (items == nullptr) fail("expected something to join");
  const List list = iterate(*items);
  for (const Value& item : list)
    if (!item.is_string()) fail("expected strings to join, found " + std::string(item.kind_name()));
  return Value::string(join(runtime, self, list));
}

Value remove_affix(const MarkedText& self, const Arguments& arguments, bool at_end) {
  arguments.check(at_end ? "removesuffix" : "removeprefix", {"affix"});
  const std::string affix = arguments.text(0, "affix", "");
  if (at_end ? !self.text().ends_with(affix) : !self.text().starts_with(affix))
    return Value::string(self);
  const size_t rest = self.size() - affix.size();
  return Value::string(at_end ? self.substr(0, rest) : self.substr(affix.size()));
}

template <CaseChange Change>
Value case_method(Runtime& runtime, const MarkedText& self, const Arguments& arguments) {
  arguments.check("case", {});
  runtime.charge_bytes(self.size());
  return Value::string(change_case(self, Change));
}

// True if the text is not empty and every character has the property.
template <bool (*Property)(uint32_t)>
Value every_method(Runtime& runtime, const MarkedText& self, const Arguments& arguments) {
  arguments.check("test", {});
  runtime.charge_bytes(self.size());
  const std::vector<CodePoint> points = code_points(self.text());
  return Value::boolean(!points.empty() &&
                        std::all_of(points.begin(), points.end(),
                                    [](const CodePoint& c) { return Property(c.value); }));
}

bool is_letter_or_digit(uint32_t c) { return is_letter(c) || is_digit(c); }

// isupper and islower: at least one cased character and none of the other case.
template <bool Upper>
Value cased_method(Runtime&, const MarkedText& self, const Arguments& arguments) {
  arguments.check("test", {});
  bool any = false;
  for (const CodePoint& c : code_points(self.text())) {
    if (Upper ? is_lower(c.value) : is_upper(c.value)) return Value::boolean(false);
    any = any || (Upper ? is_upper(c.value) : is_lower(c.value));
  }
  return Value::boolean(any);
}

const std::map<std::string_view, Method>& methods() {
  using R = Runtime&;
  using S = const MarkedText&;
  using A = const Arguments&;
  static const std::map<std::string_view, Method> all = {
      {"split", [](R r, S s, A a) { return split_method(r, s, a, false); }},
      {"rsplit", [](R r, S s, A a) { return split_method(r, s, a, true); }},
      {"splitlines", splitlines_method},
      {"strip", [](R, S s, A a) { return strip_method(s, a, true, true); }},
      {"lstrip", [](R, S s, A a) { return strip_method(s, a, true, false); }},
      {"rstrip", [](R, S s, A a) { return strip_method(s, a, false, true); }},
      {"startswith", [](R, S s, A a) { return affix_method(s, a, false); }},
      {"endswith", [](R, S s, A a) { return affix_method(s, a, true); }},
      {"removeprefix", [](R, S s, A a) { return remove_affix(s, a, false); }},
      {"removesuffix", [](R, S s, A a) { return remove_affix(s, a, true); }},
      {"find", [](R, S s, A a) { return find_method(s, a, false); }},
      {"rfind", [](R, S s, A a) { return find_method(s, a, true); }},
      {"count", count_method},
      {"replace", replace_method},
      {"join", join_method},
      {"upper", case_method<CaseChange::upper>},
      {"lower", case_method<CaseChange::lower>},
      {"title", case_method<CaseChange::title>},
      {"capitalize", case_method<CaseChange::capitalize>},
      {"isspace", every_method<is_space>},
      {"isalpha", every_method<is_letter>},
      {"isdigit", every_method<is_digit>},
      {"isalnum", every_method<is_letter_or_digit>},
      {"isupper", cased_method<true>},
      {"islower", cased_method<false>},
  };
  return all;
}

}  // namespace

MarkedText strip(const MarkedText& text, const Value* characters, bool left, bool right) {
  std::vector<CodePoint> set;
  const bool blank = characters == nullptr || characters->is_none();
  if (!blank) {
    if (!characters->is_string()) fail("expected a string of characters to strip");
    set = code_points(characters->as_string()->text());
  }
  const auto goes = [&](const CodePoint& c) {
    if (blank) return is_space(c.value);
    return std::any_of(set.begin(), set.end(),
                       [&](const CodePoint& one) { return one.value == c.value; });
  };
  const std::vector<CodePoint> points = code_points(text.text());
  size_t begin = 0, end = points.size();
  while (left && begin < end && goes(points[begin])) ++begin;
  while (right && end > begin && goes(points[end - 1])) --end;
  if (begin == end) return {};
  const size_t first = points[begin].begin;
  return text.substr(first, points[end - 1].begin + points[end - 1].size - first);
}

MarkedText replace(Runtime& runtime, const MarkedText& text, std::string_view old_text,
                   const MarkedText& new_text, int64_t count_max) {
  if (count_max < 0) count_max = std::numeric_limits<int64_t>::max();
  MarkedText out;
  size_t begin = 0;
  const auto put = [&](size_t at, size_t skip) {
    runtime.charge_bytes(out.size() + at - begin + new_text.size());
    out.append(text.substr(begin, at - begin));
    out.append(new_text);
    begin = at + skip;
  };
  if (old_text.empty()) {  // before every character and at the end
    for (const CodePoint& c : code_points(text.text())) {
      if (count_max-- <= 0) break;
      put(c.begin, 0);
    }
    if (count_max > 0) put(text.size(), 0);
  } else {
    for (size_t at = 0; count_max-- > 0 &&
                        (at = text.text().find(old_text, begin)) != std::string::npos;)
      put(at, old_text.size());
  }
  out.append(text.substr(begin));
  return out;
}

MarkedText join(Runtime& runtime, const MarkedText& separator, const List& items) {
  MarkedText out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.append(separator);
    const MarkedText item = to_text(items[i]);
    runtime.charge_bytes(item.size());
    out.append(item);
    if (out.size() > runtime.limits().output_bytes_max) runtime.charge_bytes(out.size());
  }
  return out;
}

MarkedText change_case(const MarkedText& text, CaseChange change) {
  std::string out;
  bool inside = false;  // a word (title) or the text (capitalize) has begun
  for (const CodePoint& c : code_points(text.text())) {
    if (c.value == 0xfffd) {
      out += std::string_view(text.text()).substr(c.begin, c.size);
    } else if (change == CaseChange::upper) {
      utf8_append(out, to_upper(c.value));
    } else if (change == CaseChange::lower || inside) {
      utf8_append(out, to_lower(c.value));
    } else {
      utf8_append(out, to_title(c.value));
    }
    inside = change == CaseChange::capitalize || is_letter(c.value);
  }
  // A changed byte has no origin: keep trust only where nothing else could have come in.
  return MarkedText(out, text.is_wholly_trusted() ? Trust::trusted : Trust::untrusted);
}

bool is_string_method(std::string_view name) { return methods().contains(name); }

Value call_string_method(Runtime& runtime, const MarkedText& self, const std::string& name,
                         const Arguments& arguments) {
  runtime.charge_bytes(self.size());
  return methods().at(name)(runtime, self, arguments);
}

}  // namespace swarm::engine::text::jinja
