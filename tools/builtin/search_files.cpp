#include <algorithm>
#include <boost/regex.hpp>
#include <optional>

#include "engine/base/async/nursery.h"
#include "tools/builtin/builtin.h"
#include "tools/builtin/folder.h"
#include "tools/glob.h"

namespace swarm::tools::builtin {
namespace {

constexpr size_t kListMax = 1000;
constexpr size_t kHitsMax = 200;
constexpr size_t kFilesPerTurn = 16;           // others on the strand run in between
constexpr size_t kBytesMax = size_t{64} << 20;  // read by one search
constexpr size_t kLineMax = 300;               // shown of a line

class ListDirectory final : public Tool {
 public:
  explicit ListDirectory(std::shared_ptr<Folder> root) : root_(std::move(root)) {
    spec_.name = "list_directory";
    spec_.description =
        "Lists a folder: one entry per line, folders end with /, files with their size in bytes. "
        "Paths are relative to the root folder; \".\" is the root folder itself.";
    spec_.parameters = Json{{"type", "object"},
                            {"properties", {{"path", {{"type", "string"}}}}},
                            {"additionalProperties", false}};
    spec_.effect = Effect::read;
    spec_.origin = "builtin";
  }
  const ToolSpec& spec() const override { return spec_; }
  Async<ToolResult> call(Json arguments, ToolContext) override {
    const std::string path = arguments.value("path", std::string("."));
    const auto listing = root_->list(path, kListMax);
    if (!listing) co_return problem(listing.error().message);
    ToolResult result;
    for (const Entry& entry : listing->entries) {
      result.text += entry.path;
      if (entry.kind == 'd') result.text += "/";
      if (entry.kind == 'f') result.text += "  " + std::to_string(entry.bytes);
      if (entry.kind == 'l') result.text += "  (link, not followed)";
      result.text += "\n";
    }
    result.truncated = listing->more;
    if (listing->more) result.text += "[more than " + std::to_string(kListMax) + " entries]";
    if (result.text.empty()) result.text = "[empty folder]";
    co_return result;
  }

 private:
  ToolSpec spec_;
  std::shared_ptr<Folder> root_;   // shared by the file tools of one root
};

// The lines of one file that hold what is looked for.
class LineFinder {
 public:
  static Result<LineFinder> make(const std::string& text, bool regex) {
    LineFinder out;
    out.text_ = text;
    if (!regex) return out;
    try {
      out.regex_.emplace(text);
    } catch (const boost::regex_error& e) {
      return invalid_input("text: not a regular expression: " + std::string(e.what()));
    }
    return out;
  }
  // Throws std::runtime_error when the expression is too costly.
  bool matches(const std::string& line) const {
    return regex_ ? boost::regex_search(line, *regex_) : line.find(text_) != std::string::npos;
  }

 private:
  std::string text_;
  std::optional<boost::regex> regex_;
};

class SearchFiles final : public Tool {
 public:
  explicit SearchFiles(std::shared_ptr<Folder> root) : root_(std::move(root)) {
    spec_.name = "search_files";
    spec_.description =
        "Finds files by name, by content, or both. glob: pattern of the path or of the file name, "
        "such as *.cpp or src/*_test.*; * also crosses folders. text: lines that contain it are "
        "shown as path:line: text; with regex true it is a regular expression. Paths are relative "
        "to the root folder.";
    const Json flag = {{"type", "boolean"}};
    const Json string = {{"type", "string"}};
    spec_.parameters = Json{{"type", "object"},
                            {"properties",
                             {{"glob", string}, {"text", string}, {"regex", flag},
                              {"path", string}}},
                            {"additionalProperties", false}};
    spec_.effect = Effect::read;
    spec_.origin = "builtin";
  }
  const ToolSpec& spec() const override { return spec_; }

  Async<ToolResult> call(Json arguments, ToolContext) override {
    const std::string glob = arguments.value("glob", std::string());
    const std::string text = arguments.value("text", std::string());
    const std::string path = arguments.value("path", std::string("."));
    if (glob.empty() && text.empty()) co_return problem("expected glob, text or both, found none");
    const auto finder = LineFinder::make(text, arguments.value("regex", false));
    if (!finder) co_return problem(finder.error().message);
    std::vector<std::string> files;
    const auto whole = root_->walk(path, [&](const Entry& entry) {
      if (entry.kind == 'f' && named(glob, entry.path)) files.push_back(entry.path);
      return true;
    });
    if (!whole) co_return problem(whole.error().message);
    Found found;
    for (size_t i = 0; i < files.size() && !found.full(); ++i) {
      if (text.empty())
        found.add(files[i]);
      else
        search(files[i], *finder, found);
      if (!found.failure.empty()) co_return problem(found.failure);
      if (i % kFilesPerTurn == kFilesPerTurn - 1) co_await yield_once();
    }
    co_return answer(found, *whole);
  }

 private:
  struct Found {
    std::string text, failure;
    size_t hits = 0, bytes = 0;
    bool full() const { return hits >= kHitsMax || bytes >= kBytesMax; }
    void add(const std::string& line) {
      text += line + "\n";
      ++hits;
    }
  };

  static bool named(const std::string& glob, const std::string& path) {
    if (glob.empty()) return true;
    const size_t slash = path.rfind('/');
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    return glob_matches(glob, path) ||
           (glob.find('/') == std::string::npos && glob_matches(glob, name));
  }

  void search(const std::string& file, const LineFinder& finder, Found& found) const {
    const auto content = root_->read_text(file);
    if (!content) return;  // not text, too large, not ours
    found.bytes += content->size();
    size_t begin = 0, number = 1;
    for (; begin < content->size() && !found.full(); ++number) {
      const size_t end = std::min(content->find('\n', begin), content->size());
      const std::string line = content->substr(begin, end - begin);
      begin = end + 1;
      try {
        if (!finder.matches(line)) continue;
      } catch (const std::runtime_error&) {
        found.failure = "text: the regular expression is too costly";
        return;
      }
      std::string shown = line.substr(0, kLineMax);
      while (shown.size() < line.size() && !shown.empty() &&
             (static_cast<unsigned char>(line[shown.size()]) & 0xc0) == 0x80)
        shown.pop_back();
      found.add(file + ":" + std::to_string(number) + ": " + shown +
                (shown.size() < line.size() ? "..." : ""));
    }
  }

  static ToolResult answer(const Found& found, bool whole) {
    ToolResult result{.text = found.text};
    result.truncated = found.full() || !whole;
    if (found.hits >= kHitsMax)
      result.text += "[the first " + std::to_string(kHitsMax) + "; narrow the search]";
    else if (result.truncated)
      result.text += "[not everything was searched; narrow the search with path or glob]";
    if (result.text.empty()) result.text = "[nothing found]";
    return result;
  }

  ToolSpec spec_;
  std::shared_ptr<Folder> root_;   // shared by the file tools of one root
};

}  // namespace

Result<std::shared_ptr<Tool>> make_list_directory(const std::string& root) {
  SWARM_TRY(auto folder, Folder::open(root, "list_directory"));
  return std::make_shared<ListDirectory>(std::move(folder));
}

Result<std::shared_ptr<Tool>> make_search_files(const std::string& root) {
  SWARM_TRY(auto folder, Folder::open(root, "search_files"));
  return std::make_shared<SearchFiles>(std::move(folder));
}

}  // namespace swarm::tools::builtin
