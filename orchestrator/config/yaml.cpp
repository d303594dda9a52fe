#include "orchestrator/config/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <sstream>

#include "engine/base/text_file.h"
#include "engine/base/utf8.h"

namespace swarm::config {
namespace {

namespace fs = std::filesystem;

struct Stop : std::exception {};  // a limit was reached; the problem is recorded

// Everything after this may take text for UTF-8: journals, prompts and messages are made of it.
bool check_utf8(const std::string& text, const std::string& name,
                std::vector<Problem>& problems) {
  // The parser would take a NUL byte for the end of the file.
  const size_t bad = std::min(utf8_valid_prefix(text), text.find('\0'));
  if (bad >= text.size()) return true;
  const std::string_view before = std::string_view(text).substr(0, bad);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 = 0
  const char* const expected = text[bad] == '\0' ? "text" : "UTF-8 text";
  problems.push_back({std::string("expected ") + expected + ", found " + byte_text(text[bad]),
                      {{name, static_cast<int>(line), static_cast<int>(bad - line_start) + 1}, 1}});
  return false;
}

Node parse_document(const std::string& text, const std::string& name, const std::string& directory,
                    Sources& sources, std::vector<Problem>& problems, YamlLimits limits,
                    int files_deep);

// Builds Nodes from parser events. yaml-cpp keeps the last of duplicate keys; we see them all.
class Builder final : public YAML::EventHandler {
 public:
  Builder(std::string name, std::string directory, Sources& sources,
          std::vector<Problem>& problems, YamlLimits limits, int files_deep)
      : name_(std::move(name)), directory_(std::move(directory)), sources_(sources),
        problems_(problems), limits_(limits), files_deep_(files_deep) {}

  Node take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(leaf(mark, nullptr, 1), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) return add(leaf(mark, nullptr, 1), YAML::NullAnchor);
    count(mark, size_of(found->second));
    add(found->second, YAML::NullAnchor);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    const int width = static_cast<int>(value.find('\n') == std::string::npos ? value.size() : 1);
    if (tag == "!file") return add(load_file(value, mark, width), anchor);
    if (tag != "?" && tag != "!" && !tag.empty()) {
      problem("expected the tag !file or none, found \"" + tag + "\"", mark, width);
      return add(leaf(mark, value, width), anchor);
    }
    add(leaf(mark, tag == "?" ? plain_scalar(value) : Json(value),
             tag == "!" ? width + 2 : width),
        anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Node::Kind::list, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Node::Kind::map, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Level {
    Node node;
    YAML::anchor_t anchor = YAML::NullAnchor;
    bool has_key = false;
    std::string key;
    Place key_place;
    bool key_dropped = false;
  };

  Place place(const YAML::Mark& mark, int width) const {
    return {{name_, mark.line + 1, mark.column + 1}, width < 1 ? 1 : width};
  }
  void problem(std::string message, const YAML::Mark& mark, int width) {
    problems_.push_back({std::move(message), place(mark, width)});
  }
  Node leaf(const YAML::Mark& mark, Json value, int width) {
    Node node;
    node.scalar = std::move(value);
    node.place = place(mark, width);
    return node;
  }
  static size_t size_of(const Node& node) {
    size_t size = 1;
    for (const Node& item : node.items) size += size_of(item);
    for (const Node::Field& field : node.fields) size += size_of(field.value);
    return size;
  }
  void count(const YAML::Mark& mark, size_t more) {
    nodes_ += more;
    if (nodes_ <= limits_.nodes_max) return;
    problem("expected at most " + std::to_string(limits_.nodes_max) + " values", mark, 1);
    throw Stop();
  }

  void open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    count(mark, 1);
    if (tag != "?" && tag != "!" && !tag.empty())
      problem("expected the tag !file or none, found \"" + tag + "\"", mark, 1);
    if (levels_.size() >= limits_.depth_max) {
      problem("nesting deeper than " + std::to_string(limits_.depth_max), mark, 1);
      throw Stop();
    }
    Level level;
    level.node.kind = kind;
    level.node.place = place(mark, 1);
    level.anchor = anchor;
    levels_.push_back(std::move(level));
  }
  void close() {
    Level done = std::move(levels_.back());
    levels_.pop_back();
    add(std::move(done.node), done.anchor);
  }

  void add(Node node, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) anchors_[anchor] = node;
    if (levels_.empty()) {
      root_ = std::move(node);
      return;
    }
    Level& level = levels_.back();
    if (level.node.kind == Node::Kind::list) {
      level.node.items.push_back(std::move(node));
      return;
    }
    if (!level.has_key) return take_key(level, node);
    level.has_key = false;
    if (!level.key_dropped)
      level.node.fields.push_back({level.key, level.key_place, std::move(node)});
  }

  void take_key(Level& level, const Node& node) {
    level.has_key = true;
    level.key_dropped = false;
    level.key_place = node.place;
    if (node.kind != Node::Kind::scalar) {
      problems_.push_back({"expected a key, found " + describe(node), node.place});
      level.key_dropped = true;
      return;
    }
    level.key = node.is_text() ? node.text() : dump_json(node.scalar);
    for (const Node::Field& field : level.node.fields) {
      if (field.key != level.key) continue;
      problems_.push_back({"duplicate key \"" + level.key + "\" (first on line " +
                               std::to_string(field.place.location.line) + ")",
                           node.place});
      level.key_dropped = true;
    }
  }

  Node load_file(const std::string& path, const YAML::Mark& mark, int width) {
    const int shown = width + 6;  // with the tag
    const fs::path full = fs::path(directory_) / path;
    const std::string shown_name = full.lexically_normal().string();
    const Result<std::string> read = read_text_file(full.string());
    if (!read) {
      const ErrorKind kind = read.error().kind;
      std::string why = "cannot read file \"" + shown_name + "\"";
      if (kind != ErrorKind::environment) why = shown_name + ": " + read.error().message;
      const Place where = place(mark, shown);
      problems_.push_back({std::move(why), where, kind});
      return leaf(mark, nullptr, shown);
    }
    const std::string& text = *read;
    const std::string extension = full.extension().string();
    if (extension == ".yaml" || extension == ".yml") {
      if (files_deep_ >= 8) {
        problem("!file nested deeper than 8 files", mark, shown);
        return leaf(mark, nullptr, shown);
      }
      return parse_document(text, shown_name, full.parent_path().string(), sources_, problems_,
                            limits_, files_deep_ + 1);
    }
    sources_[shown_name] = utf8_sanitize(text);
    if (!check_utf8(text, shown_name, problems_)) return leaf(mark, nullptr, shown);
    if (extension != ".json") return leaf(mark, text, shown);
    const Result<Json> json = parse_json(text, shown_name);
    if (json) return from_json(*json, {{shown_name, 1, 0}, 1});
    problems_.push_back({json.error().message, {json.error().location, 1}});
    return leaf(mark, nullptr, shown);
  }

  std::string name_, directory_;
  Sources& sources_;
  std::vector<Problem>& problems_;
  YamlLimits limits_;
  int files_deep_;
  size_t nodes_ = 0;
  Node root_;
  std::vector<Level> levels_;
  std::map<YAML::anchor_t, Node> anchors_;
};

Node parse_document(const std::string& text, const std::string& name, const std::string& directory,
                    Sources& sources, std::vector<Problem>& problems, YamlLimits limits,
                    int files_deep) {
  sources[name] = utf8_sanitize(text);
  if (text.size() > limits.bytes_max) {
    problems.push_back({"expected at most " + std::to_string(limits.bytes_max) + " bytes, found " +
                            std::to_string(text.size()),
                        {{name, 0, 0}, 1}});
    return {};
  }
  if (!check_utf8(text, name, problems)) return {};
  Builder builder(name, directory, sources, problems, limits, files_deep);
  try {
    std::istringstream in(text);
    YAML::Parser parser(in);
    if (!parser.HandleNextDocument(builder)) return {};
    Node root = builder.take();
    Builder second(name, directory, sources, problems, limits, files_deep);
    if (parser.HandleNextDocument(second)) {
      const Node extra = second.take();
      problems.push_back({"expected one document, found a second one", extra.place});
    }
    return root;
  } catch (const YAML::Exception& e) {
    problems.push_back({"invalid YAML: " + e.msg,
                        {{name, e.mark.line + 1, e.mark.column + 1}, 1}});
  } catch (const Stop&) {
  }
  return {};
}

}  // namespace

std::string byte_text(char byte) {
  static constexpr char kDigits[] = "0123456789abcdef";
  const auto value = static_cast<unsigned char>(byte);
  return std::string("the byte 0x") + kDigits[value >> 4] + kDigits[value & 15];
}

Json plain_scalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const std::string digits = text[0] == '+' ? text.substr(1) : text;
  const char* const end = digits.data() + digits.size();
  int64_t integer = 0;
  if (const auto [at, code] = std::from_chars(digits.data(), end, integer);
      code == std::errc() && at == end)
    return integer;
  const bool number_like = digits.find_first_not_of("0123456789.eE+-") == std::string::npos &&
                           digits.find_first_of("0123456789") != std::string::npos;
  double number = 0;
  if (const auto [at, code] = std::from_chars(digits.data(), end, number);
      number_like && code == std::errc() && at == end)
    return number;
  return text;
}

Node parse_yaml(const std::string& text, const std::string& name, const std::string& directory,
                Sources& sources, std::vector<Problem>& problems, YamlLimits limits) {
  return parse_document(text, name, directory, sources, problems, limits, 0);
}

}  // namespace swarm::config
