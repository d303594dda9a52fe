#include "engine/base/json.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <unordered_set>
#include <vector>

namespace swarm {
namespace {

// Rejects duplicate keys and depth while nlohmann builds the value.
class Guard {
 public:
  explicit Guard(size_t depth_max) : depth_max_(depth_max) {}

  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (static_cast<size_t>(depth) >= depth_max_)
        fail("nesting deeper than " + std::to_string(depth_max_));
      keys_.emplace_back();
    } else if (event == Event::object_end || event == Event::array_end) {
      keys_.pop_back();
    } else if (event == Event::key) {
      const std::string& key = parsed.get_ref<const std::string&>();
      if (!keys_.back().insert(key).second) fail("duplicate key \"" + key + "\"");
    }
    return true;
  }

 private:
  struct Refused : std::exception {
    explicit Refused(std::string t) : text(std::move(t)) {}
    std::string text;
  };
  [[noreturn]] static void fail(std::string text) { throw Refused(std::move(text)); }
  friend Result<Json> swarm::parse_json(std::string_view, std::string_view, JsonLimits);

  size_t depth_max_;
  std::vector<std::unordered_set<std::string>> keys_;
};

SourceLocation locate(std::string_view text, size_t byte, std::string_view name) {
  byte = std::min(byte, text.size());
  const std::string_view before = text.substr(0, byte);
  const size_t line_start = before.rfind('\n');
  SourceLocation location{.file = std::string(name)};
  location.line = 1 + static_cast<int>(std::count(before.begin(), before.end(), '\n'));
  location.column =
      1 + static_cast<int>(line_start == std::string_view::npos ? byte : byte - line_start - 1);
  return location;
}

// nlohmann's text without its "[json.exception...] parse error at line ..., column ...:" lead.
std::string plain_reason(std::string_view what) {
  const size_t colon = what.find(": ");
  return std::string(colon == std::string_view::npos ? what : what.substr(colon + 2));
}

// The library says only that there is one. Everything before it is valid JSON.
Error huge_number(std::string_view text, std::string_view name) {
  constexpr std::string_view kNumber = "0123456789+-.eE";
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '"') {
      for (++at; at < text.size() && text[at] != '"'; ++at)
        if (text[at] == '\\') ++at;
    } else if (text[at] == '-' || (text[at] >= '0' && text[at] <= '9')) {
      const size_t end = std::min(text.find_first_not_of(kNumber, at), text.size());
      const std::string number(text.substr(at, end - at));
      if (std::isinf(std::strtod(number.c_str(), nullptr)))
        return Error{ErrorKind::invalid_input,
                     "invalid JSON: the number " + number.substr(0, 40) + " is too large",
                     locate(text, at, name)};
      at = end - 1;
    }
  }
  return Error{ErrorKind::invalid_input, "invalid JSON: a number is too large",
               {.file = std::string(name)}};
}

void dump_spaced(const Json& value, std::string& out) {
  if (value.is_object()) {
    out += '{';
    bool first = true;
    for (const auto& [key, item] : value.items()) {
      if (!first) out += ", ";
      first = false;
      out += dump_json(Json(key)) + ": ";
      dump_spaced(item, out);
    }
    out += '}';
  } else if (value.is_array()) {
    out += '[';
    bool first = true;
    for (const Json& item : value) {
      if (!first) out += ", ";
      first = false;
      dump_spaced(item, out);
    }
    out += ']';
  } else {
    out += dump_json(value);
  }
}

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view name, JsonLimits limits) {
  if (text.size() > limits.bytes_max) {
    return Error{ErrorKind::invalid_input,
                 "expected at most " + std::to_string(limits.bytes_max) + " bytes of JSON, found " +
                     std::to_string(text.size()),
                 {.file = std::string(name)}};
  }
  try {
    Guard guard(limits.depth_max);
    return Json::parse(text.begin(), text.end(), std::ref(guard));
  } catch (const Json::parse_error& e) {
    return Error{ErrorKind::invalid_input, "invalid JSON: " + plain_reason(e.what()),
                 locate(text, e.byte == 0 ? 0 : e.byte - 1, name)};
  } catch (const Guard::Refused& e) {
    return Error{ErrorKind::invalid_input, "invalid JSON: " + e.text, {.file = std::string(name)}};
  } catch (const Json::out_of_range&) {
    return huge_number(text, name);
  } catch (const Json::exception& e) {
    return Error{ErrorKind::invalid_input, "invalid JSON: " + plain_reason(e.what()),
                 {.file = std::string(name)}};
  }
}

std::string dump_json_spaced(const Json& value) {
  std::string out;
  dump_spaced(value, out);
  return out;
}

std::string dump_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace swarm
