#include <algorithm>

#include "tools/builtin/builtin.h"
#include "tools/builtin/folder.h"

namespace swarm::tools::builtin {
namespace {

Json text(const char* description) {
  return Json{{"type", "string"}, {"description", description}};
}

class WriteFile final : public Tool {
 public:
  WriteFile(std::shared_ptr<Folder> root, Growth growth)
      : root_(std::move(root)), growth_(std::move(growth)) {
    spec_.name = "write_file";
    spec_.description =
        "Creates a text file or replaces its whole content. Folders on the way are created. Paths "
        "are relative to the root folder. To change a part of a file use edit_file.";
    spec_.parameters = Json{{"type", "object"},
                            {"properties",
                             {{"path", text("relative to the root folder")},
                              {"content", text("the new content, whole")}}},
                            {"required", Json::array({"path", "content"})},
                            {"additionalProperties", false}};
    spec_.effect = Effect::idempotent;
    spec_.origin = "builtin";
  }
  const ToolSpec& spec() const override { return spec_; }
  Async<ToolResult> call(Json arguments, ToolContext) override {
    const std::string path = arguments.at("path").get<std::string>();
    const std::string content = arguments.at("content").get<std::string>();
    const auto written = root_->write(path, content, growth_);
    if (!written) co_return problem(written.error().message);
    co_return ToolResult{.text = quoted(path) + ": " + std::to_string(content.size()) +
                                 " bytes written"};
  }

 private:
  ToolSpec spec_;
  std::shared_ptr<Folder> root_;   // shared by the file tools of one root
  Growth growth_;
};

class EditFile final : public Tool {
 public:
  EditFile(std::shared_ptr<Folder> root, Growth growth)
      : root_(std::move(root)), growth_(std::move(growth)) {
    spec_.name = "edit_file";
    spec_.description =
        "Replaces a piece of a text file. old_text must occur exactly once in the file, with the "
        "same spaces and line ends; give enough of the lines around it. Paths are relative to the "
        "root folder.";
    spec_.parameters = Json{{"type", "object"},
                            {"properties",
                             {{"path", text("relative to the root folder")},
                              {"old_text", text("what is there now, exactly; not empty")},
                              {"new_text", text("what takes its place; empty removes it")}}},
                            {"required", Json::array({"path", "old_text", "new_text"})},
                            {"additionalProperties", false}};
    spec_.parameters["properties"]["old_text"]["minLength"] = 1;
    spec_.effect = Effect::once;
    spec_.origin = "builtin";
  }
  const ToolSpec& spec() const override { return spec_; }
  Async<ToolResult> call(Json arguments, ToolContext) override {
    const std::string path = arguments.at("path").get<std::string>();
    const std::string before = arguments.at("old_text").get<std::string>();
    const std::string after = arguments.at("new_text").get<std::string>();
    const auto content = root_->read_text(path);
    if (!content) co_return problem(content.error().message);
    const size_t at = content->find(before);
    if (at == std::string::npos)
      co_return problem(quoted(path) + ": old_text does not occur; read the file again and copy "
                                       "it exactly");
    size_t count = 1;
    for (size_t next = content->find(before, at + 1); next != std::string::npos;
         next = content->find(before, next + 1))
      ++count;
    if (count > 1)
      co_return problem(quoted(path) + ": old_text occurs " + std::to_string(count) +
                        " times; give more of the lines around it");
    std::string changed = *content;
    changed.replace(at, before.size(), after);
    const auto written = root_->write(path, changed, growth_);
    if (!written) co_return problem(written.error().message);
    const auto line = 1 + std::count(content->begin(),
                                     content->begin() + static_cast<ptrdiff_t>(at), '\n');
    co_return ToolResult{.text = quoted(path) + ": changed at line " + std::to_string(line)};
  }

 private:
  ToolSpec spec_;
  std::shared_ptr<Folder> root_;   // shared by the file tools of one root
  Growth growth_;
};

}  // namespace

Result<std::shared_ptr<Tool>> make_write_file(const std::string& root, Growth growth) {
  SWARM_TRY(auto folder, Folder::open(root, "write_file"));
  return std::make_shared<WriteFile>(std::move(folder), std::move(growth));
}

Result<std::shared_ptr<Tool>> make_edit_file(const std::string& root, Growth growth) {
  SWARM_TRY(auto folder, Folder::open(root, "edit_file"));
  return std::make_shared<EditFile>(std::move(folder), std::move(growth));
}

}  // namespace swarm::tools::builtin
