// Schemas of what workers and managers say, and the tolerant reader for text that a limit cut off
// or that a model without a grammar wrote.
#include <algorithm>
#include <map>

#include "agents/agent.h"
#include "engine/base/utf8.h"

namespace swarm::agents {
namespace {

// A sentence or two (reference/dytopo.md section 4.5).
constexpr size_t kDescriptorCharsMax = 280;

Json text_schema(const std::vector<std::string>& options, bool allow_empty) {
  if (options.empty()) return Json{{"type", "string"}};
  Json values = Json::array();
  bool has_empty = false;
  for (const std::string& option : options) {
    values.push_back(option);
    has_empty = has_empty || option.empty();
  }
  if (allow_empty && !has_empty) values.push_back("");
  return Json{{"type", "string"}, {"enum", values}};
}

Json descriptor_schema(const std::vector<std::string>& options) {
  if (!options.empty()) return text_schema(options, true);
  // Something besides blanks (section 4.5): an empty one would never be matched.
  return Json{{"type", "string"}, {"maxLength", kDescriptorCharsMax}, {"pattern", "\\S"}};
}

// Without blanks around it, and no longer than the schema allows: not every model has a grammar.
std::string descriptor(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return "";
  std::string out = text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin);
  size_t chars = 0, end = 0;
  while (end < out.size() && chars < kDescriptorCharsMax) {
    end += std::max<size_t>(utf8_sequence_length(std::string_view(out).substr(end)), 1);
    ++chars;
  }
  out.resize(end);
  return out;
}

Json object_schema(const std::vector<std::pair<std::string, Json>>& fields) {
  Json properties = Json::object();
  Json required = Json::array();
  for (const auto& [name, schema] : fields) {
    properties[name] = schema;
    required.push_back(name);
  }
  Json out = Json::object();
  out["type"] = "object";
  out["properties"] = std::move(properties);
  out["required"] = std::move(required);
  out["additionalProperties"] = false;
  return out;
}

// Reads the members of the first object in a text as far as it goes: strings, decoded and possibly
// cut short, and other scalars as they are written. Nested values are skipped.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {
    at_ = std::min(text.find('{'), text.size());
  }

  std::map<std::string, std::string> run() {
    std::map<std::string, std::string> out;
    ++at_;
    while (seek('"')) {
      const std::string key = string();
      if (!seek(':')) break;
      ++at_;
      space();
      open_ = true;
      std::string value = at_ < text_.size() && text_[at_] == '"' ? string() : other();
      out.emplace(key, std::move(value));
      if (open_) cut_ = key;
      if (!seek(',')) break;
      ++at_;
    }
    return out;
  }
  // The member inside whose value the text ends.
  const std::string& cut() const { return cut_; }

 private:
  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' ||
                                  text_[at_] == '\r'))
      ++at_;
  }

  bool seek(char wanted) {
    space();
    return at_ < text_.size() && text_[at_] == wanted;
  }

  std::string string() {
    std::string out;
    bool broken = false;
    for (++at_; !broken && at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] != '\\')
        out += text_[at_];
      else
        broken = !escape(out);
    }
    open_ = broken || at_ >= text_.size();
    if (!open_) ++at_;
    return utf8_sanitize(std::string_view(out).substr(0, out.size() - utf8_incomplete_tail(out)));
  }

  // at_ is on the backslash; leaves it on the last character of the escape. False: cut short.
  bool escape(std::string& out) {
    if (++at_ >= text_.size()) return false;
    switch (text_[at_]) {
      case 'n': out += '\n'; return true;
      case 't': out += '\t'; return true;
      case 'r': out += '\r'; return true;
      case 'b': out += '\b'; return true;
      case 'f': out += '\f'; return true;
      case 'u': return unicode(out);
      default: out += text_[at_]; return true;
    }
  }

  bool unicode(std::string& out) {
    uint32_t code = 0;
    if (!hex(at_ + 1, code)) return false;
    at_ += 4;
    uint32_t low = 0;
    const bool pair = code >= 0xD800 && code < 0xDC00 && text_.substr(at_ + 1, 2) == "\\u" &&
                      hex(at_ + 3, low) && low >= 0xDC00 && low < 0xE000;
    if (pair) {
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      at_ += 6;
    }
    utf8_append(out, code);
    return true;
  }

  bool hex(size_t from, uint32_t& code) const {
    if (from + 4 > text_.size()) return false;
    code = 0;
    for (size_t i = from; i < from + 4; ++i) {
      const char c = text_[i];
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return false;
      code = code * 16 + static_cast<uint32_t>(digit);
    }
    return true;
  }

  std::string other() {
    std::string out;
    int depth = 0;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (depth == 0 && (c == ',' || c == '}')) break;
      if (c == '"') {
        string();
        --at_;
        continue;
      }
      if (c == '[' || c == '{') ++depth;
      if (c == ']' || c == '}') --depth;
      if (depth == 0 && c != ' ' && c != '\n' && c != ']' && c != '}') out += c;
    }
    open_ = at_ >= text_.size();
    return out;
  }

  std::string_view text_;
  size_t at_ = 0;
  bool open_ = false;      // the value that was read last has no end
  std::string cut_;
};

// Reads blocks <KEY>\nTEXT\n</KEY>, whatever stands between them, as far as they go.
class TagScanner {
 public:
  explicit TagScanner(std::string_view text) : rest_(text) {}

  std::map<std::string, std::string> run() {
    std::map<std::string, std::string> out;
    while (take_until("<")) {
      const auto key = take_until(">");
      if (!key) break;
      if (key->empty() || key->front() == '/' || key->find_first_of(" \n<") != key->npos) continue;
      const std::string end = "</" + std::string(*key) + ">";
      auto text = take_until(end);
      if (!text) {
        // The end itself may be half there.
        text = rest_.substr(0, rest_.size() - half_of(rest_, "\n" + end));
        cut_ = *key;
      }
      // One line end on each side belongs to the form.
      if (text->starts_with('\n')) text->remove_prefix(1);
      if (text->ends_with('\n') && cut_.empty()) text->remove_suffix(1);
      out.emplace(*key, utf8_sanitize(text->substr(0, text->size() -
                                                          utf8_incomplete_tail(*text))));
      if (!cut_.empty()) break;
    }
    return out;
  }
  const std::string& cut() const { return cut_; }

 private:
  // What stands before the next `end`, which is consumed.
  std::optional<std::string_view> take_until(std::string_view end) {
    const size_t at = rest_.find(end);
    if (at == std::string_view::npos) return std::nullopt;
    const std::string_view out = rest_.substr(0, at);
    rest_.remove_prefix(at + end.size());
    return out;
  }

  static size_t half_of(std::string_view text, std::string_view end) {
    for (size_t size = std::min(text.size(), end.size() - 1); size > 0; --size)
      if (text.ends_with(end.substr(0, size))) return size;
    return 0;
  }

  std::string_view rest_;
  std::string cut_;
};

// A member that was read whole by the JSON parser, or what the scanner found of it.
class Fields {
 public:
  explicit Fields(const PassResult& result) : json_(result.output) {
    if (result.format == OutputFormat::tags) {
      TagScanner scanner(result.content);
      scanned_ = scanner.run();
      cut_ = scanner.cut();
      return;
    }
    if (!json_) {
      if (auto parsed = parse_json(result.content); parsed && parsed->is_object())
        json_ = std::move(*parsed);
    }
    if (json_) return;
    Scanner scanner(result.content);
    scanned_ = scanner.run();
    cut_ = scanner.cut();
  }

  const std::string& cut() const { return cut_; }

  std::string text(const std::string& name) const {
    if (!json_) {
      const auto found = scanned_.find(name);
      return found == scanned_.end() || found->second == "null" ? "" : found->second;
    }
    const auto found = json_->find(name);
    if (found == json_->end() || found->is_null()) return "";
    return found->is_string() ? found->get<std::string>() : dump_json(*found);
  }

  bool flag(const std::string& name) const { return text(name) == "true"; }

 private:
  std::optional<Json> json_;
  std::map<std::string, std::string> scanned_;
  std::string cut_;
};

}  // namespace

Json worker_schema(const WorkerSchemaOptions& options) {
  const Json text{{"type", "string"}};
  std::vector<std::pair<std::string, Json>> fields{{"public", text}, {"private", text}};
  if (options.with_answer) fields.emplace_back("answer", text);
  fields.emplace_back("query", descriptor_schema(options.query_options));
  fields.emplace_back("key", descriptor_schema(options.key_options));
  return object_schema(fields);
}

Json manager_schema(const ManagerSchemaOptions& options) {
  return object_schema({{"status", text_schema(options.status_options, false)},
                        {"is_complete", Json{{"type", "boolean"}}},
                        {"next_goal", text_schema(options.goal_options, true)},
                        {"answer_from", text_schema(options.members, true)}});
}

WorkerMessage parse_worker(const PassResult& result) {
  const Fields fields(result);
  WorkerMessage out;
  out.public_text = fields.text("public");
  out.private_text = fields.text("private");
  out.answer = fields.text("answer");
  out.query = descriptor(fields.text("query"));
  out.key = descriptor(fields.text("key"));
  out.cut = fields.cut();
  return out;
}

ManagerMessage parse_manager(const PassResult& result) {
  const Fields fields(result);
  ManagerMessage out;
  out.status = fields.text("status");
  out.is_complete = fields.flag("is_complete");
  out.next_goal = fields.text("next_goal");
  out.answer_from = fields.text("answer_from");
  return out;
}

}  // namespace swarm::agents
