#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "engine/base/utf8.h"
#include "tools/builtin/builtin.h"

namespace swarm::tools {
namespace {

constexpr size_t kPageBytes = 16 * 1024;
constexpr std::string_view kPrefix = "result-";

size_t to_boundary(std::string_view text, size_t at) {
  while (at > 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
  return std::min(at, text.size());
}

class ReadArtifact final : public Tool {
 public:
  explicit ReadArtifact(std::shared_ptr<Artifacts> artifacts) : artifacts_(std::move(artifacts)) {
    spec_.name = "read_artifact";
    spec_.description =
        "Reads a part of a tool result that was too long to be shown whole. handle: as given where "
        "the result was cut; offset and limit in bytes.";
    const Json count = {{"type", "integer"}, {"minimum", 0}, {"maximum", 1000000000}};
    spec_.parameters = Json{
        {"type", "object"},
        {"properties", {{"handle", {{"type", "string"}}}, {"offset", count}, {"limit", count}}},
        {"required", Json::array({"handle"})},
        {"additionalProperties", false}};
    spec_.effect = Effect::read;
    spec_.origin = "builtin";
  }
  const ToolSpec& spec() const override { return spec_; }
  Async<ToolResult> call(Json arguments, ToolContext) override {
    const auto whole = artifacts_->read(arguments.at("handle").get<std::string>());
    if (!whole) co_return builtin::problem(whole.error().message);
    const auto offset = static_cast<size_t>(arguments.value("offset", 0.0));
    const auto limit =
        static_cast<size_t>(arguments.value("limit", static_cast<double>(kPageBytes)));
    const size_t begin = to_boundary(*whole, offset);
    if (begin >= whole->size())
      co_return builtin::problem("offset: it has " + std::to_string(whole->size()) + " bytes");
    size_t end = to_boundary(*whole, begin + std::min(limit, kPageBytes));
    if (end <= begin) end = whole->size();
    ToolResult result{.text = whole->substr(begin, end - begin)};
    result.truncated = end < whole->size();
    if (result.truncated)
      result.text += "\n[" + std::to_string(whole->size() - end) +
                     " more bytes; continue with offset " + std::to_string(end) + "]";
    co_return result;
  }

 private:
  ToolSpec spec_;
  std::shared_ptr<Artifacts> artifacts_;  // shared with the registry
};

}  // namespace

Result<std::string> Artifacts::keep(std::string_view text) {
  if (text.size() > room_) return failed("there is no room for further long results");
  std::error_code failure;
  std::filesystem::create_directories(folder_, failure);
  const std::string handle = std::string(kPrefix) + std::to_string(count_ + 1);
  std::ofstream out(folder_ + "/" + handle, std::ios::binary);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  if (!out) return environment_error("cannot write \"" + folder_ + "/" + handle + "\"");
  ++count_;
  room_ -= text.size();
  return handle;
}

Result<std::string> Artifacts::read(const std::string& handle) const {
  const std::string digits =
      handle.rfind(kPrefix, 0) == 0 ? handle.substr(kPrefix.size()) : std::string();
  if (digits.empty() || digits.size() > 9 ||
      digits.find_first_not_of("0123456789") != std::string::npos)
    return invalid_input("handle: expected one such as result-1, found \"" + handle + "\"");
  std::ifstream in(folder_ + "/" + handle, std::ios::binary);
  if (!in) return invalid_input("handle: there is no \"" + handle + "\"");
  return utf8_sanitize(std::string(std::istreambuf_iterator<char>(in), {}));
}

Result<std::shared_ptr<Tool>> builtin::make_read_artifact(std::shared_ptr<Artifacts> artifacts) {
  if (!artifacts) return invalid_input("read_artifact: there is no place for artifacts");
  return std::make_shared<ReadArtifact>(std::move(artifacts));
}

}  // namespace swarm::tools
