#include <algorithm>
#include <exception>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "tools/glob.h"
#include "tools/tool.h"

namespace swarm::tools {
namespace {

bool valid_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
         });
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

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// The first keep bytes, cut at a character.
size_t begin_of(const std::string& text, size_t keep) {
  while (keep > 0 && keep < text.size() && is_continuation(text[keep])) --keep;
  return std::min(keep, text.size());
}

// Where the last keep bytes begin, at a character.
size_t end_of(const std::string& text, size_t keep) {
  size_t at = text.size() - std::min(keep, text.size());
  while (at < text.size() && is_continuation(text[at])) ++at;
  return at;
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

// Why the call is not made; "" when it is.
Async<std::string> refusal_of(Guard* guard, const Tool& tool, const Json& arguments,
                              const ToolContext& context) {
  std::string refusal;
  try {
    refusal = co_await with_deadline(guard->admit(tool.spec(), arguments, context),
                                     context.deadline);
  } catch (const ErrorException& e) {
    if (e.error().kind != ErrorKind::timeout) throw;
    refusal = "not run: nobody allowed it before the deadline";
  }
  co_return refusal;
}

}  // namespace

std::string origin_of_server(const std::string& server) { return "mcp:" + server; }

Async<Result<void>> Tool::check() { co_return Result<void>(); }

Result<void> Registry::add(std::shared_ptr<Tool> tool) {
  const std::string& name = tool->spec().name;
  if (!valid_name(name))
    return invalid_input("tool name: expected 1 to 64 of [A-Za-z0-9_-], found \"" + name + "\"");
  if (const Tool* other = find(name))
    return invalid_input("tool \"" + name + "\" exists twice: from " + other->spec().origin +
                         " and from " + tool->spec().origin);
  tools_.push_back({.tool = std::move(tool), .batch = last_batch_});
  return {};
}

void Registry::withdraw(std::string_view name, std::string why) {
  for (Entry& entry : tools_) {
    if (!entry.gone.empty() || entry.tool->spec().name != name) continue;
    entry.gone = std::move(why);
    ++withdrawn_;
    return;
  }
}

size_t Registry::batch_of(const Tool& tool) const {
  const Entry* entry = find_entry(tool.spec().name);
  return entry != nullptr ? entry->batch : 0;
}

// What stands before the first star decides.
bool Registry::may_join(std::string_view pattern) const {
  const size_t star = pattern.find_first_of("*?");
  const std::string form = public_form(pattern.substr(0, star));
  return std::any_of(expected_.begin(), expected_.end(), [&](const auto& one) {
    const std::string prefix = one.first + "__";
    return form.starts_with(prefix) ||
           (star != std::string_view::npos && prefix.starts_with(form));
  });
}

std::string Registry::absence_of(const std::string& name) const {
  const auto fits = [&](const Entry& entry) { return names_tool(name, entry.tool->spec()); };
  const auto is_there = [&](const Entry& entry) { return entry.gone.empty() && fits(entry); };
  if (std::any_of(tools_.begin(), tools_.end(), is_there)) return "";
  for (const Entry& entry : tools_)
    if (fits(entry))
      return "there is no tool \"" + name + "\" now: " + entry.gone;
  for (const auto& [server, why] : expected_)
    if (public_form(name).starts_with(server + "__"))
      return "there is no tool \"" + name + "\" now: server \"" + server + "\" " +
             why.substr(0, why.find('\n'));
  return "";
}

const Registry::Entry* Registry::find_entry(std::string_view name) const {
  for (const Entry& entry : tools_)
    if (entry.gone.empty() && entry.tool->spec().name == name) return &entry;
  return nullptr;
}

Tool* Registry::find(std::string_view name) const {
  const Entry* entry = find_entry(name);
  return entry ? entry->tool.get() : nullptr;
}

Result<std::vector<Tool*>> Registry::select(std::span<const std::string> patterns) const {
  std::vector<bool> chosen(tools_.size(), false);
  for (const std::string& pattern : patterns) {
    bool any = false;
    for (size_t i = 0; i < tools_.size(); ++i) {
      if (!names_tool(pattern, tools_[i].tool->spec())) continue;
      any = true;                            // of one that left, too
      chosen[i] = tools_[i].gone.empty();
    }
    if (!any && !may_join(pattern))
      return invalid_input("unknown tool \"" + pattern + "\"" +
                           suggestion(pattern, as_written(pattern, names())));
  }
  std::vector<Tool*> out;
  for (size_t i = 0; i < tools_.size(); ++i)
    if (chosen[i]) out.push_back(tools_[i].tool.get());
  return out;
}

std::vector<Tool*> Registry::all() const {
  std::vector<Tool*> out;
  for (const Entry& entry : tools_)
    if (entry.gone.empty()) out.push_back(entry.tool.get());
  return out;
}

std::vector<std::string> Registry::names() const {
  std::vector<std::string> out;
  for (const Entry& entry : tools_)
    if (entry.gone.empty()) out.push_back(entry.tool->spec().name);
  return out;
}

void Registry::limit(std::string_view name, size_t calls_max) {
  for (Entry& entry : tools_) {
    if (entry.tool->spec().name != name || calls_max == 0) continue;
    entry.turns = std::make_unique<Channel<bool>>(calls_max);
    for (size_t i = 0; i < calls_max; ++i) entry.turns->try_send(true);
  }
}

// Waiting for a turn counts towards the deadline, which with_deadline() inside would not see.
Async<ToolResult> Registry::call_in_turn(const Entry& entry, Json arguments,
                                         ToolContext context) const {
  if (!entry.turns) {
    co_return co_await call_guarded(entry.tool.get(), std::move(arguments), std::move(context));
  }
  bool late = false;
  try {
    co_await with_deadline(entry.turns->receive(), context.deadline);
  } catch (const ErrorException& e) {
    if (e.error().kind != ErrorKind::timeout) throw;
    late = true;
  }
  if (late)
    co_return error_result(entry.tool->spec().name + ": its turn did not come before the deadline");
  struct Turn {
    Channel<bool>& turns;
    ~Turn() { turns.try_send(true); }
  } turn{*entry.turns};
  co_return co_await call_guarded(entry.tool.get(), std::move(arguments), std::move(context));
}

// Two thirds of the room for the begin, one for the end: errors and totals come last.
void Registry::cap(ToolResult& result, const DispatchOptions& options,
                   const std::string& tool) const {
  const size_t total = result.text.size();
  if (total <= options.result_bytes_max) return;
  const size_t head = begin_of(result.text, options.result_bytes_max * 2 / 3);
  const size_t tail = end_of(result.text, options.result_bytes_max - head);
  std::string note = "\n[cut: " + std::to_string(tail - head) + " of " + std::to_string(total) +
                     " bytes are not shown here; ";
  std::string remedy = "ask for less at a time]\n";
  if (artifacts_ && tool != "read_artifact")
    if (const auto handle = artifacts_->keep(result.text); handle && options.pages)
      remedy = "read_artifact with handle \"" + *handle + "\" and offset " +
               std::to_string(head) + " reads on]\n";
  result.text = result.text.substr(0, head) + note + remedy + result.text.substr(tail);
  result.truncated = true;
}

Async<ToolResult> Registry::dispatch(std::string name, Json arguments, ToolContext context,
                                     DispatchOptions options) const {
  const Entry* entry = find_entry(name);
  if (!entry) {
    const std::string absence = absence_of(name);
    co_return error_result(!absence.empty()
                               ? absence
                               : "unknown tool \"" + name + "\"" + suggestion(name, names()));
  }
  const Tool& tool = *entry->tool;
  if (arguments.is_null()) arguments = Json::object();  // a call without arguments
  if (const auto valid = validate_json(tool.spec().parameters, arguments); !valid) {
    const Error& error = valid.error();
    co_return error_result(error.kind == ErrorKind::unsupported
                               ? name + ": the tool cannot be used: " + error.message
                               : name + ": wrong arguments: " + error.message);
  }
  if (guard_) {
    const std::string refusal = co_await refusal_of(guard_, tool, arguments, context);
    if (!refusal.empty()) co_return error_result(name + ": " + refusal);
    // Whoever was asked meant the tool as it was shown.
    if (!entry->gone.empty()) co_return error_result(name + ": not run: " + entry->gone);
  }
  ToolResult result = co_await call_in_turn(*entry, std::move(arguments), std::move(context));
  cap(result, options, name);
  co_return result;
}

}  // namespace swarm::tools
