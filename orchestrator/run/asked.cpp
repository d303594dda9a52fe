#include "orchestrator/run/asked.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "engine/base/async/deadline.h"
#include "engine/base/check.h"
#include "engine/base/rng.h"

namespace swarm::run {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSampleMessagesMax = 1000;
constexpr size_t kAskedBytesMax = 2000;   // of one text in the journal

const Json* asked_member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string asked_text(const Json& object, const char* key) {
  const Json* found = asked_member(object, key);
  return found != nullptr && found->is_string() ? found->get<std::string>() : "";
}

// One block of text, or several.
Result<std::string> content_text(const Json& content) {
  std::string out;
  const auto add = [&out](const Json& block) -> Result<void> {
    if (asked_text(block, "type") != "text")
      return invalid_input("content of type \"" + asked_text(block, "type") +
                           "\": only text is understood");
    out += (out.empty() ? "" : "\n") + asked_text(block, "text");
    return {};
  };
  if (!content.is_array()) {
    SWARM_TRY_VOID(add(content));
    return out;
  }
  for (const Json& block : content) SWARM_TRY_VOID(add(block));
  return out;
}

Result<std::vector<agents::Message>> messages_of(const Json& params) {
  std::vector<agents::Message> out;
  const auto add = [&out](agents::Role role, std::string text) {
    out.emplace_back();
    out.back().role = role;
    out.back().content = std::move(text);
  };
  if (std::string system = asked_text(params, "systemPrompt"); !system.empty())
    add(agents::Role::system, std::move(system));
  const Json* messages = asked_member(params, "messages");
  if (messages == nullptr || !messages->is_array() || messages->empty() ||
      messages->size() > kSampleMessagesMax)
    return invalid_input("messages: expected 1 to " + std::to_string(kSampleMessagesMax));
  for (const Json& one : *messages) {
    const std::string role = asked_text(one, "role");
    if (role != "user" && role != "assistant")
      return invalid_input("role: expected user or assistant, found \"" + role + "\"");
    const Json* content = asked_member(one, "content");
    if (content == nullptr) return invalid_input("a message without content");
    SWARM_TRY(std::string text, content_text(*content));
    add(role == "user" ? agents::Role::user : agents::Role::assistant, std::move(text));
  }
  return out;
}

std::string shortened(std::string text) {
  if (text.size() <= kAskedBytesMax) return text;
  size_t end = kAskedBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "... (" + std::to_string(text.size()) + " bytes)";
}

Json recorded_messages(const std::vector<agents::Message>& messages) {
  Json out = Json::array();
  for (const agents::Message& one : messages)
    out.push_back({{"role", agents::to_string(one.role)}, {"content", shortened(one.content)}});
  return out;
}

}  // namespace

// ---- Pure parts.

Result<agents::ModelRequest> sampling_request(const Json& params, int32_t tokens_max) {
  for (const char* key : {"tools", "toolChoice"})
    if (asked_member(params, key) != nullptr)
      return invalid_input(std::string(key) + ": tools in sampling are not offered");
  agents::ModelRequest out;
  SWARM_TRY(out.messages, messages_of(params));
  const Json* tokens = asked_member(params, "maxTokens");
  if (tokens == nullptr || !tokens->is_number() || tokens->get<double>() < 1)
    return invalid_input("maxTokens: expected a number above 0");
  out.max_tokens = static_cast<int32_t>(
      std::min<double>(tokens->get<double>(), static_cast<double>(tokens_max)));
  if (const Json* heat = asked_member(params, "temperature"); heat != nullptr) {
    if (!heat->is_number() || heat->get<double>() < 0)
      return invalid_input("temperature: expected a number from 0");
    out.sampling.temperature = std::min(heat->get<double>(), 10.0);
  }
  return out;
}

Json sampling_result(const agents::ModelReply& reply, const Json& params, std::string_view model) {
  std::string text = reply.content;
  std::string why = reply.finish == agents::FinishReason::stop ? "endTurn" : "maxTokens";
  const Json* stops = asked_member(params, "stopSequences");
  if (stops != nullptr && stops->is_array())
    for (const Json& stop : *stops) {
      if (!stop.is_string() || stop.get_ref<const std::string&>().empty()) continue;
      const size_t at = text.find(stop.get_ref<const std::string&>());
      if (at == std::string::npos) continue;
      text.resize(at);
      why = "stopSequence";
    }
  return {{"role", "assistant"},
          {"content", {{"type", "text"}, {"text", text}}},
          {"model", model},
          {"stopReason", why}};
}

mcp::Root root_of(const std::string& folder) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  constexpr std::string_view kPlain = "-._~/";
  fs::path path = fs::absolute(folder).lexically_normal();
  if (!path.has_filename() && path.has_parent_path()) path = path.parent_path();  // "a/" is "a"
  mcp::Root out{.uri = "file://", .name = path.filename().string()};
  for (const char c : path.string()) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       (c >= '0' && c <= '9') || kPlain.find(c) != std::string_view::npos;
    if (plain) {
      out.uri += c;
    } else {
      out.uri += '%';
      out.uri += kDigits[byte >> 4];
      out.uri += kDigits[byte & 15];
    }
  }
  return out;
}

// ---- A run's answers.

void Asked::offer(const mcp::ServerConfig& server, const config::ServerUse& use,
                  mcp::ClientHooks& hooks) {
  if (use.sampling)
    hooks.sample = [this, &server, &use](std::string, Json params) {
      return sample(server, *use.sampling, std::move(params));
    };
  const bool decline = use.elicitation == config::Elicitation::decline;
  if (decline || (use.elicitation == config::Elicitation::automatic && elicit_)) {
    hooks.elicit = [this, decline](std::string name, Json params) {
      return elicit(std::move(name), decline, std::move(params));
    };
    hooks.elicit_url = true;
  }
  for (const std::string& folder : use.roots) hooks.roots.push_back(root_of(folder));
  hooks.offer_roots = !hooks.roots.empty();
}

// The model is asked without tools, so that nothing it says calls the server again.
Async<Json> Asked::sample(const mcp::ServerConfig& server, const config::SamplingUse& use,
                          Json params) {
  const std::string name = server.name;
  int32_t& asked = samples_[name];
  if (asked >= use.calls_max)
    throw ErrorException(Error{ErrorKind::budget, "sampling: more than " +
                                                      std::to_string(use.calls_max) +
                                                      " requests in this run"});
  ++asked;
  agents::ModelRequest request = sampling_request(params, use.tokens_max).value();
  request.label = "mcp:" + name;
  request.sampling.seed = mix_seed(mix_seed(seed_, hash_text(name)), static_cast<uint64_t>(asked));
  request.deadline = Deadline::after(clock_, server.call_timeout);
  recorder_.event("mcp.ask", {{"server", name},
                              {"what", "sampling"},
                              {"model", use.model},
                              {"max_tokens", request.max_tokens},
                              {"messages", recorded_messages(request.messages)}});
  const auto found = models_.find(use.model);
  SWARM_CHECK(found != models_.end(), use.model);
  MeteredModel model(*found->second, meter_);
  std::optional<agents::ModelReply> reply;
  std::string problem;
  try {
    reply = co_await model.generate(std::move(request));
  } catch (const ErrorException& e) {
    if (e.error().kind == ErrorKind::cancelled) throw;
    problem = e.error().message;
  }
  if (!reply) {
    recorder_.event("mcp.answer", {{"server", name}, {"what", "sampling"}, {"error", problem}});
    throw ErrorException(failed("sampling: " + problem));
  }
  Json result = sampling_result(*reply, params, use.model);
  recorder_.event("mcp.answer", {{"server", name},
                                 {"what", "sampling"},
                                 {"text", shortened(asked_text(result["content"], "text"))},
                                 {"stop", result["stopReason"]},
                                 {"usage", agents::to_json(reply->usage)}});
  co_return result;
}

Async<Json> Asked::elicit(std::string server, bool decline, Json params) {
  Json question{{"server", server},
                {"what", "elicitation"},
                {"mode", asked_text(params, "mode") == "url" ? "url" : "form"},
                {"message", shortened(asked_text(params, "message"))}};
  if (const std::string url = asked_text(params, "url"); !url.empty())
    question["url"] = shortened(url);
  recorder_.event("mcp.ask", question);
  Json answer = {{"action", "decline"}};
  if (!decline) answer = co_await elicit_(server, std::move(params));
  Json fields = Json::array();
  const Json* content = asked_member(answer, "content");
  if (content != nullptr && content->is_object())
    for (const auto& [field, value] : content->items()) fields.push_back(field);
  recorder_.event("mcp.answer", {{"server", server},
                                 {"what", "elicitation"},
                                 {"action", asked_text(answer, "action")},
                                 {"fields", fields}});
  co_return answer;
}

}  // namespace swarm::run
