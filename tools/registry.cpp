#include <algorithm>
#include <exception>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "tools/tool.h"

namespace swarm::tools {
namespace {

// '*' any run, '?' one character. Linear in practice: only the last '*' is retried.
bool glob_matches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0;
  size_t star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p, ++t;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// "shop/price" is how people write the public name "shop__price".
std::string public_form(std::string_view pattern) {
  std::string out(pattern);
  if (const size_t slash = out.find('/'); slash != std::string::npos) out.replace(slash, 1, "__");
  return out;
}

bool valid_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
         });
}

std::vector<std::string> names_of(std::span<const std::shared_ptr<Tool>> tools) {
  std::vector<std::string> names;
  for (const auto& tool : tools) names.push_back(tool->spec().name);
  return names;
}

std::string join(std::span<const std::string> words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

std::string suggestion(std::string_view name, std::span<const std::string> known) {
  const std::string close = did_you_mean(name, known);
  if (!close.empty()) return "; did you mean \"" + close + "\"?";
  if (known.empty()) return "; there are no tools";
  return "; known tools: " + join(known);
}

// Names in the form of the pattern: whoever writes shop/prise reads shop/price.
std::vector<std::string> as_written(std::string_view pattern, std::vector<std::string> names) {
  if (pattern.find('/') == std::string_view::npos) return names;
  for (std::string& name : names)
    if (const size_t cut = name.find("__"); cut != std::string::npos) name.replace(cut, 2, "/");
  return names;
}

ToolResult error_result(std::string text) {
  return ToolResult{.text = std::move(text), .is_error = true, .truncated = false};
}

// Keeps the first bytes_max bytes, cut at a character, and says what is missing.
void cap(ToolResult& result, size_t bytes_max) {
  const size_t total = result.text.size();
  if (total <= bytes_max) return;
  size_t keep = bytes_max;
  while (keep > 0 && (static_cast<unsigned char>(result.text[keep]) & 0xc0) == 0x80) --keep;
  result.text.resize(keep);
  result.text += "\n[cut: " + std::to_string(total - keep) + " of " + std::to_string(total) +
                 " bytes are not shown; ask for less at a time]";
  result.truncated = true;
}

Async<ToolResult> call_guarded(Tool* tool, Json arguments, ToolContext context) {
  std::string problem;
  try {
    const Deadline deadline = context.deadline;
    co_return co_await with_deadline(tool->call(std::move(arguments), std::move(context)),
                                     deadline);
  } catch (const ErrorException& e) {
    if (e.error().kind == ErrorKind::cancelled) throw;
    problem = e.error().kind == ErrorKind::timeout
                  ? "the tool did not answer before its deadline and was stopped"
                  : e.error().message;
  } catch (const boost::system::system_error& e) {
    if (is_cancellation(std::current_exception())) throw;
    problem = e.code().message();
  }
  co_return error_result(tool->spec().name + ": " + problem);
}

}  // namespace

Result<void> Registry::add(std::shared_ptr<Tool> tool) {
  const std::string& name = tool->spec().name;
  if (!valid_name(name))
    return invalid_input("tool name: expected 1 to 64 of [A-Za-z0-9_-], found \"" + name + "\"");
  if (const Tool* other = find(name))
    return invalid_input("tool \"" + name + "\" exists twice: from " + other->spec().origin +
                         " and from " + tool->spec().origin);
  tools_.push_back(std::move(tool));
  return {};
}

Tool* Registry::find(std::string_view name) const {
  for (const auto& tool : tools_)
    if (tool->spec().name == name) return tool.get();
  return nullptr;
}

Result<std::vector<Tool*>> Registry::select(std::span<const std::string> patterns) const {
  std::vector<bool> chosen(tools_.size(), false);
  for (const std::string& pattern : patterns) {
    const std::string form = public_form(pattern);
    bool any = false;
    for (size_t i = 0; i < tools_.size(); ++i) {
      if (!glob_matches(form, tools_[i]->spec().name)) continue;
      chosen[i] = any = true;
    }
    if (!any)
      return invalid_input("unknown tool \"" + pattern + "\"" +
                           suggestion(pattern, as_written(pattern, names_of(tools_))));
  }
  std::vector<Tool*> out;
  for (size_t i = 0; i < tools_.size(); ++i)
    if (chosen[i]) out.push_back(tools_[i].get());
  return out;
}

std::vector<Tool*> Registry::all() const {
  std::vector<Tool*> out;
  for (const auto& tool : tools_) out.push_back(tool.get());
  return out;
}

Async<ToolResult> Registry::dispatch(std::string name, Json arguments, ToolContext context,
                                     DispatchOptions options) const {
  Tool* tool = find(name);
  if (!tool)
    co_return error_result("unknown tool \"" + name + "\"" + suggestion(name, names_of(tools_)));
  if (arguments.is_null()) arguments = Json::object();  // a call without arguments
  if (const auto valid = validate_json(tool->spec().parameters, arguments); !valid) {
    const Error& error = valid.error();
    co_return error_result(error.kind == ErrorKind::unsupported
                               ? name + ": the tool cannot be used: " + error.message
                               : name + ": wrong arguments: " + error.message);
  }
  ToolResult result = co_await call_guarded(tool, std::move(arguments), std::move(context));
  cap(result, options.result_bytes_max);
  co_return result;
}

}  // namespace swarm::tools
