// Lists of the client and their cache.
#include <algorithm>
#include <set>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "mcp/client/call_limits.h"
#include "mcp/client/in_use.h"
#include "mcp/client/mcp_tool.h"
#include "mcp/client/result.h"
#include "mcp/message/json_member.h"
#include "mcp/message/versions.h"
#include "mcp/message/visible_text.h"

namespace swarm::mcp {
namespace {

using std::chrono::milliseconds;

constexpr int64_t kTtlMaxMs = 24 * 3600 * 1000;
constexpr size_t kCacheMax = 256;
constexpr size_t kToolNameMax = 128;

milliseconds ttl_of(const Json& result) {
  if (!result.is_object()) return milliseconds(0);
  const auto ttl = result.find("ttlMs");
  if (ttl == result.end() || !ttl->is_number_integer()) return milliseconds(0);
  return milliseconds(std::clamp<int64_t>(ttl->get<int64_t>(), 0, kTtlMaxMs));
}

struct Kind {
  const char* method;
  const char* key;
  const char* capability;
};

Kind kind_of(List what) {
  switch (what) {
    case List::tools: return {"tools/list", "tools", "tools"};
    case List::resources: return {"resources/list", "resources", "resources"};
    case List::resource_templates:
      return {"resources/templates/list", "resourceTemplates", "resources"};
    case List::prompts: return {"prompts/list", "prompts", "prompts"};
    case List::skills: return {"skills/list", "skills", "skills"};
  }
  return {"", "", ""};
}

bool matches_any(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return fits(pattern, name); });
}

}  // namespace

void Core::event(std::string_view name, const Json& details) const {
  if (hooks_.on_event) hooks_.on_event(config_.name, name, details);
}

// ---- Lists.

Async<Json> Core::fetch(std::string method, Json params) {
  const auto self = shared_from_this();
  const std::string key = method + dump_json(params);
  const auto cached = cache_.find(key);
  if (cached != cache_.end()) {
    if (cached->second.expires > steady_clock().now()) co_return cached->second.result;
    cache_.erase(cached);
  }
  CallOptions options;
  options.deadline = Deadline::after(steady_clock(), config_.call_timeout);
  Json result = co_await call(method, std::move(params), options);
  const milliseconds ttl = ttl_of(result);
  if (ttl.count() == 0) co_return result;
  if (cache_.size() >= kCacheMax) cache_.clear();
  cache_[key] = Cached{result, steady_clock().now() + ttl};
  co_return result;
}

void Core::forget(const std::string& method_prefix) {
  std::erase_if(cache_,
                [&](const auto& entry) { return entry.first.rfind(method_prefix, 0) == 0; });
}

// A whole list: the end is the absence of a cursor, the empty text is one.
Async<Core::Pages> Core::pages(std::string method, std::string key) {
  Pages found;
  found.ttl = milliseconds(kTtlMaxMs);
  std::set<std::string> cursors;
  std::optional<std::string> cursor;
  const auto refuse = [&](const std::string& text) {
    throw ErrorException(peer_->about(ErrorKind::environment, text));
  };
  for (int32_t page = 0; page == 0 || cursor; ++page) {
    if (page >= config_.pages_max)
      refuse(method + " has more than " + std::to_string(config_.pages_max) + " pages");
    Json params = Json::object();
    if (cursor) params["cursor"] = *cursor;
    // Not through call(): during a restart there is nobody to wait for.
    const Json reply = co_await send(method, std::move(params), {});
    const auto list = reply.find(key);
    if (!reply.is_object() || list == reply.end() || !list->is_array())
      refuse(method + ": expected an array \"" + key + "\"");
    for (const Json& one : *list) found.items.push_back(one);
    found.ttl = std::min(found.ttl, ttl_of(reply));  // as fresh as its oldest page
    const auto next = reply.find("nextCursor");
    cursor.reset();
    if (next != reply.end() && next->is_string()) cursor = next->get<std::string>();
    if (cursor && !cursors.insert(*cursor).second)
      refuse(method + " repeats its cursor \"" + *cursor + "\"");
  }
  co_return found;
}

Async<std::vector<Json>> Core::list(List what) {
  const auto self = shared_from_this();
  const Kind kind = kind_of(what);
  if (what != List::skills || !offers_extension(kSkillsExtension))
    require(kind.capability, kind.capability);
  const InUse in_use(*this);
  co_await ensure_ready();
  const auto known = lists_.find(what);
  if (known != lists_.end() && known->second.expires > steady_clock().now())
    co_return known->second.items;
  const int64_t told = changes_told_;
  const Deadline deadline = Deadline::after(steady_clock(), config_.call_timeout);
  Pages found = co_await with_deadline(pages(kind.method, kind.key), deadline);
  if (what == List::tools) {
    take_tools(found.items);
    std::erase_if(found.items, [this](const Json& tool) {
      return !known_tools_.contains(text_member(tool, "name"));
    });
  }
  // A notice that came meanwhile may be about what was just read.
  found.expires = steady_clock().now() + found.ttl;
  if (found.ttl.count() > 0 && told == changes_told_) lists_[what] = found;
  co_return std::move(found.items);
}

// noticed: the server has said that its list is another.
Async<> Core::refresh_tools(bool noticed) {
  Pages found = co_await pages("tools/list", "tools");
  take_tools(std::move(found.items), noticed);
}

// Whatever made us read the list again (a notice, a restart, the first start of a lazy server): who
// keeps tools hears how it differs from the last one.
void Core::take_tools(std::vector<Json> found, bool noticed) {
  const std::map<std::string, KnownTool> before = known_tools_;
  const bool again = listed_;
  remember(found);
  adopt_tools(std::move(found));
  shown_.compare([this](const std::string& name) {
    const auto known = known_tools_.find(name);
    return known != known_tools_.end() ? &known->second.definition : nullptr;
  });
  if (again) tell_difference(before, noticed);
}

void Core::tell_difference(const std::map<std::string, KnownTool>& before, bool noticed) {
  Json added = Json::array(), removed = Json::array(), changed = Json::array();
  for (const auto& [name, tool] : known_tools_) {
    const auto old = before.find(name);
    if (old == before.end()) {
      added.push_back(name);
    } else if (old->second.definition != tool.definition) {
      changed.push_back(name);
    }
  }
  for (const auto& [name, tool] : before)
    if (!known_tools_.contains(name)) removed.push_back(name);
  if (!noticed && added.empty() && removed.empty() && changed.empty()) return;
  log_.info("mcp.tools.changed", {{"server", config_.name},
                                  {"added", uint64_t{added.size()}},
                                  {"removed", uint64_t{removed.size()}},
                                  {"changed", uint64_t{changed.size()}}});
  event("list_changed", Json{{"list", "tools"}, {"added", added}, {"removed", removed},
                             {"changed", changed}});
}

void Core::adopt_tools(std::vector<Json> found) {
  std::vector<std::string> names;
  std::map<std::string, KnownTool> known;
  const auto quarantine = [&](const std::string& name, const std::string& why) {
    log_.warn("mcp.tool.quarantined",
              {{"server", config_.name}, {"tool", name}, {"why", why}});
    event("quarantined", Json{{"tool", name}, {"why", why}});
  };
  for (Json& tool : found) {
    const std::string name = text_member(tool, "name");
    const bool object_schema = tool.is_object() && tool.contains("inputSchema") &&
                               tool.at("inputSchema").is_object();
    if (name.empty() || name.size() > kToolNameMax || !object_schema || known.contains(name)) {
      quarantine(name, known.contains(name) ? "listed twice" : "no name or no inputSchema");
      continue;
    }
    const bool wanted =
        config_.include_tools.empty() || matches_any(config_.include_tools, name);
    if (!wanted || matches_any(config_.exclude_tools, name)) continue;
    KnownTool entry;
    if (dialect_ == Dialect::modern && kind_ == TransportKind::http) {
      auto headers = header_params(tool.at("inputSchema"));
      if (!headers) {
        quarantine(name, headers.error().message);
        continue;
      }
      entry.headers = std::move(*headers);
    }
    entry.definition = std::move(tool);
    known.emplace(name, std::move(entry));
    names.push_back(name);
  }
  const auto public_name = public_names(config_.name, names);
  std::vector<std::shared_ptr<tools::Tool>> tools;
  for (const std::string& name : names) {
    const Json& definition = known.at(name).definition;
    tools::ToolSpec spec;
    spec.name = public_name.at(name);
    spec.description = text_member(definition, "description");
    if (spec.description.empty()) spec.description = text_member(definition, "title");
    const std::string visible = visible_text(spec.description);
    if (visible != spec.description || visible_text(dump_json(definition)) != dump_json(definition))
      note_hidden_text(name);
    spec.description = visible;
    spec.parameters = definition.at("inputSchema");
    spec.effect = effect_of(definition);
    spec.origin = tools::origin_of_server(config_.name);
    spec.server = config_.name;
    spec.remote_name = name;
    tools.push_back(make_tool(shared_from_this(), name, std::move(spec)));
  }
  known_tools_ = std::move(known);
  tools_ = std::move(tools);
  listed_ = true;
}

void Core::note_hidden_text(const std::string& tool) {
  log_.warn("mcp.tool.hidden_text", {{"server", config_.name}, {"tool", tool}});
  event("hidden_text", Json{{"tool", tool}});
}

}  // namespace swarm::mcp
