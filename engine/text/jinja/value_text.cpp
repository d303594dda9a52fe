// How values are written: str(), repr() and JSON, as Python does it.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "engine/text/jinja/unicode.h"
#include "engine/text/jinja/value.h"

namespace swarm::engine::text::jinja {
namespace {

void append_hex(std::string& out, uint32_t value, int digits) {
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
    out += "0123456789abcdef"[(value >> shift) & 15];
}

std::string string_repr(std::string_view text) {
  // Python prefers single quotes unless that would need an escape and double quotes would not.
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (const CodePoint& c : code_points(text)) {
    if (c.value == static_cast<uint8_t>(quote) || c.value == '\\') {
      out += '\\';
      out += static_cast<char>(c.value);
    } else if (c.value == '\n') {
      out += "\\n";
    } else if (c.value == '\r') {
      out += "\\r";
    } else if (c.value == '\t') {
      out += "\\t";
    } else if (is_printable(c.value)) {
      out += text.substr(c.begin, c.size);
    } else {
      out += c.value < 0x100 ? "\\x" : c.value < 0x10000 ? "\\u" : "\\U";
      append_hex(out, c.value, c.value < 0x100 ? 2 : c.value < 0x10000 ? 4 : 8);
    }
  }
  return out + quote;
}

std::string sequence_repr(const Sequence& sequence) {
  std::string out(1, sequence.tuple ? '(' : '[');
  for (size_t i = 0; i < sequence.items.size(); ++i) {
    if (i > 0) out += ", ";
    out += to_repr(sequence.items[i]);
  }
  if (sequence.tuple && sequence.items.size() == 1) out += ',';
  return out + (sequence.tuple ? ')' : ']');
}

std::string dict_repr(const Dict& dict) {
  std::string out = "{";
  for (size_t i = 0; i < dict.size(); ++i) {
    if (i > 0) out += ", ";
    out += string_repr(dict[i].first) + ": " + to_repr(dict[i].second);
  }
  return out + "}";
}

void append_escaped(std::string& out, uint32_t code_point) {
  if (code_point > 0xffff) {  // a surrogate pair
    out += "\\u";
    append_hex(out, 0xd800 + ((code_point - 0x10000) >> 10), 4);
    code_point = 0xdc00 + ((code_point - 0x10000) & 0x3ff);
  }
  out += "\\u";
  append_hex(out, code_point, 4);
}

void append_json_string(std::string& out, std::string_view text, bool ascii_only) {
  out += '"';
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    at += c.size;
    switch (c.value) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\f': out += "\\f"; break;
      case '\b': out += "\\b"; break;
      default:
        if (c.value < 0x20 || (ascii_only && c.value > 0x7e)) {
          append_escaped(out, c.value);
        } else if (c.value == 0xfffd) {
          out += "\xef\xbf\xbd";  // also for a byte that is not UTF-8
        } else {
          out += text.substr(c.begin, c.size);
        }
    }
  }
  out += '"';
}

class JsonWriter {
 public:
  explicit JsonWriter(const JsonStyle& style) : style_(style) {}

  void write(const Value& value, int depth) {
    if (depth > 256) fail("expected at most 256 levels of nesting in tojson");
    if (const MarkedText* text = value.as_string()) {
      append_json_string(out_, text->text(), style_.ascii_only);
    } else if (const Sequence* sequence = value.as_sequence()) {
      write_list(sequence->items, depth);
    } else if (const Dict* dict = value.as_dict()) {
      write_dict(*dict, depth);
    } else if (value.is_none()) {
      out_ += "null";
    } else if (const bool* flag = value.as_boolean()) {
      out_ += *flag ? "true" : "false";
    } else if (const double* number = value.as_number(); number && !std::isfinite(*number)) {
      out_ += std::isnan(*number) ? "NaN" : *number > 0 ? "Infinity" : "-Infinity";
    } else if (value.is_numeric()) {
      out_ += to_repr(value);
    } else {
      fail("expected a value that JSON can hold, found " + std::string(value.kind_name()));
    }
  }
  std::string take() { return std::move(out_); }

 private:
  void write_list(const List& items, int depth) {
    out_ += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      separate(i, depth + 1);
      write(items[i], depth + 1);
    }
    close(items.empty(), depth);
    out_ += ']';
  }

  void write_dict(const Dict& dict, int depth) {
    std::vector<const Dict::value_type*> members;
    for (const auto& member : dict) members.push_back(&member);
    if (style_.sort_keys)
      std::sort(members.begin(), members.end(),
                [](const auto* a, const auto* b) { return a->first < b->first; });
    out_ += '{';
    for (size_t i = 0; i < members.size(); ++i) {
      separate(i, depth + 1);
      append_json_string(out_, members[i]->first, style_.ascii_only);
      out_ += style_.key_separator;
      write(members[i]->second, depth + 1);
    }
    close(members.empty(), depth);
    out_ += '}';
  }

  void separate(size_t index, int depth) {
    if (index > 0) out_ += style_.item_separator;
    if (style_.indent >= 0) new_line(depth);
  }
  void close(bool empty, int depth) {
    if (style_.indent >= 0 && !empty) new_line(depth);
  }
  void new_line(int depth) {
    out_ += '\n';
    out_.append(static_cast<size_t>(style_.indent) * static_cast<size_t>(depth), ' ');
  }

  const JsonStyle& style_;
  std::string out_;
};

}  // namespace

// float.__repr__: the shortest digits that read back equal; exponent form below 1e-4 and from 1e16.
std::string number_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 64> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 std::chars_format::scientific);
  const std::string scientific(buffer.data(), end.ptr);
  const size_t e = scientific.find('e');
  const int exponent = std::stoi(scientific.substr(e + 1));
  if (exponent < -4 || exponent >= 16) return scientific;
  const auto fixed = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                   std::chars_format::fixed);
  std::string out(buffer.data(), fixed.ptr);
  if (out.find('.') == std::string::npos) out += ".0";
  return out;
}

std::string to_repr(const Value& value) {
  if (const MarkedText* text = value.as_string()) return string_repr(text->text());
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "None";
  if (const bool* flag = value.as_boolean()) return *flag ? "True" : "False";
  if (const int64_t* number = value.as_integer()) return std::to_string(*number);
  if (const double* number = value.as_number()) return number_text(*number);
  if (const Sequence* sequence = value.as_sequence()) return sequence_repr(*sequence);
  if (const Dict* dict = value.as_dict()) return dict_repr(*dict);
  if (value.as_namespace() != nullptr) return "<Namespace>";
  fail("expected a value with a text form, found callable \"" + value.as_callable()->name + "\"");
}

MarkedText to_text(const Value& value) {
  if (const MarkedText* text = value.as_string()) return *text;
  if (value.is_undefined()) return {};
  return MarkedText(to_repr(value));
}

std::string to_json(const Value& value, const JsonStyle& style) {
  JsonWriter writer(style);
  writer.write(value, 0);
  return writer.take();
}

}  // namespace swarm::engine::text::jinja
