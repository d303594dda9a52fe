#include <algorithm>

#include "tools/builtin/builtin.h"
#include "tools/builtin/folder.h"

namespace swarm::tools::builtin {
namespace {

constexpr size_t kLinesDefault = 400;

// Lines [offset, offset + limit), counted from 1.
ToolResult slice(const std::string& content, size_t offset, size_t limit) {
  size_t line = 1, begin = 0;
  while (line < offset && begin < content.size()) {
    begin = std::min(content.find('\n', begin), content.size() - 1) + 1;
    ++line;
  }
  if (line < offset || (begin >= content.size() && offset > 1))
    return problem("offset: the file ends before line " + std::to_string(offset));
  size_t end = begin;
  for (size_t taken = 0; taken < limit && end < content.size(); ++taken)
    end = std::min(content.find('\n', end), content.size() - 1) + 1;
  ToolResult result{.text = content.substr(begin, end - begin)};
  if (end < content.size()) {
    const auto left = std::count(content.begin() + static_cast<ptrdiff_t>(end), content.end(),
                                 '\n') + (content.back() == '\n' ? 0 : 1);
    result.text += "[" + std::to_string(left) + " more lines; continue with offset " +
                   std::to_string(offset + limit) + "]";
    result.truncated = true;
  }
  return result;
}

class ReadFile final : public Tool {
 public:
  explicit ReadFile(std::shared_ptr<Folder> root) : root_(std::move(root)) {
    spec_.name = "read_file";
    spec_.description =
        "Reads a text file, or a range of its lines. Paths are relative to the root folder.";
    const Json count = {{"type", "integer"}, {"minimum", 1}, {"maximum", 1000000000}};
    spec_.parameters =
        Json{{"type", "object"},
             {"properties", {{"path", {{"type", "string"}}}, {"offset", count}, {"limit", count}}},
             {"required", Json::array({"path"})},
             {"additionalProperties", false}};
    spec_.effect = Effect::read;
    spec_.origin = "builtin";
  }
  const ToolSpec& spec() const override { return spec_; }
  // Reads on the caller's thread: at most Folder::kFileBytesMax from a local disk.
  Async<ToolResult> call(Json arguments, ToolContext) override {
    const std::string path = arguments.at("path").get<std::string>();
    const auto offset = static_cast<size_t>(arguments.value("offset", 1.0));
    const auto limit =
        static_cast<size_t>(arguments.value("limit", static_cast<double>(kLinesDefault)));
    const auto content = root_->read_text(path);
    if (!content) co_return problem(content.error().message);
    co_return slice(*content, offset, limit);
  }

 private:
  ToolSpec spec_;
  std::shared_ptr<Folder> root_;   // shared by the file tools of one root
};

}  // namespace

Result<std::shared_ptr<Tool>> make_read_file(const std::string& root) {
  SWARM_TRY(auto folder, Folder::open(root, "read_file"));
  return std::make_shared<ReadFile>(std::move(folder));
}

}  // namespace swarm::tools::builtin
