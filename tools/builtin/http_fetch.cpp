#include "tools/http_fetch.h"

#include <algorithm>
#include <utility>

#include "engine/base/async/deadline.h"
#include "engine/base/utf8.h"
#include "tools/builtin/builtin.h"

namespace swarm::tools {
namespace {

constexpr size_t kBodyBytesMax = size_t{4} << 20;
constexpr std::chrono::seconds kTimeMax{30};

bool is_text(const std::string& type, const std::string& body) {
  if (type.rfind("text/", 0) == 0 || type.ends_with("json") || type.ends_with("xml") ||
      type.ends_with("javascript") || type.ends_with("yaml"))
    return true;
  return type.empty() && body.find('\0') == std::string::npos && utf8_is_valid(body);
}

class HttpFetch final : public Tool {
 public:
  explicit HttpFetch(HttpGet get) : get_(std::move(get)) {
    spec_.name = "http_fetch";
    spec_.description =
        "Reads a page of the web (http or https) and returns it as text; HTML without its markup.";
    spec_.parameters = Json{{"type", "object"},
                            {"properties", {{"url", {{"type", "string"}}}}},
                            {"required", Json::array({"url"})},
                            {"additionalProperties", false}};
    // Reading, but an address can carry out what a model knows: a policy must name it.
    spec_.effect = Effect::idempotent;
    spec_.origin = "builtin";
  }
  const ToolSpec& spec() const override { return spec_; }

  Async<ToolResult> call(Json arguments, ToolContext) override {
    std::string problem;
    HttpPage page;
    const Deadline deadline = Deadline::after(steady_clock(), kTimeMax);
    try {
      page = co_await with_deadline(get_(arguments.at("url").get<std::string>(), kBodyBytesMax),
                                    deadline);
    } catch (const ErrorException& e) {
      if (e.error().kind == ErrorKind::cancelled) throw;
      problem = e.error().kind == ErrorKind::timeout
                    ? "no answer within " + std::to_string(kTimeMax.count()) + " s"
                    : e.error().message;
    }
    if (!problem.empty()) co_return builtin::problem(problem);
    co_return answer(page);
  }

 private:
  static ToolResult answer(const HttpPage& page) {
    const bool html = page.content_type == "text/html" ||
                      page.content_type == "application/xhtml+xml";
    ToolResult result;
    result.is_error = page.status < 200 || page.status > 299;
    result.truncated = page.cut;
    result.text = "[" + std::to_string(page.status) + " " + page.url + "]\n";
    if (!is_text(page.content_type, page.body)) {
      result.text += "[" + std::to_string(page.body.size()) + " bytes of " +
                     (page.content_type.empty() ? "unknown type" : page.content_type) +
                     ", not shown]";
      return result;
    }
    result.text += html ? html_to_text(page.body) : utf8_sanitize(page.body);
    if (page.cut)
      result.text += "\n[only the first " + std::to_string(page.body.size()) + " bytes were read]";
    return result;
  }

  ToolSpec spec_;
  HttpGet get_;
};

}  // namespace

std::shared_ptr<Tool> make_http_fetch(HttpGet get) {
  return std::make_shared<HttpFetch>(std::move(get));
}

}  // namespace swarm::tools
