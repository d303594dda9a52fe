#include "mcp/client/asks.h"

#include "mcp/message/rpc_error.h"
#include "mcp/message/visible_text.h"

namespace swarm::mcp {
namespace {

// What a person reads of a question is all there is: no text that hides or turns others around.
void make_visible(Json& value) {
  if (!value.is_structured()) return;
  for (const auto& [key, child] : value.items()) {
    const bool prose = key == "message" || key == "title" || key == "description";
    if (prose && child.is_string())
      child = visible_text(child.get_ref<const std::string&>());
    else
      make_visible(child);
  }
}

}  // namespace

Json Asks::capabilities(bool modern) const {
  Json out = Json::object();
  if (hooks_.offer_roots) {
    out["roots"] = Json::object();
    if (!modern) out["roots"]["listChanged"] = false;
  }
  if (hooks_.sample) out["sampling"] = Json::object();
  if (hooks_.elicit) {
    out["elicitation"]["form"] = Json::object();
    if (hooks_.elicit_url) out["elicitation"]["url"] = Json::object();
  }
  return out;
}

Async<Json> Asks::answer(std::string method, Json params) {
  const bool known = (method == "roots/list" && hooks_.offer_roots) ||
                     (method == "sampling/createMessage" && hooks_.sample) ||
                     (method == "elicitation/create" && hooks_.elicit);
  if (!known) refuse(kMethodNotFound, "method not found: " + method);
  if (++asked_ > hooks_.asked_max)
    throw ErrorException(Error{.kind = ErrorKind::budget,
                               .message = "the server asked more than " +
                                          std::to_string(hooks_.asked_max) + " times"});
  std::string wrong;
  try {
    if (method == "elicitation/create") co_return co_await elicit(std::move(params));
    if (method == "sampling/createMessage")
      co_return co_await hooks_.sample(server_, std::move(params));
  } catch (const ErrorException& e) {
    if (e.error().kind != ErrorKind::invalid_input) throw;
    wrong = e.error().message;
  }
  if (!wrong.empty()) refuse(kInvalidParams, wrong);
  Json roots = Json::array();
  for (const Root& root : hooks_.roots) {
    Json one{{"uri", root.uri}};
    if (!root.name.empty()) one["name"] = root.name;
    roots.push_back(std::move(one));
  }
  Json out = Json::object();
  out["roots"] = std::move(roots);
  co_return out;
}

Async<Json> Asks::elicit(Json params) {
  const auto mode = params.find("mode");
  const bool url = mode != params.end() && *mode == "url";
  if (url && !hooks_.elicit_url) refuse(kInvalidParams, "elicitation by url is not offered");
  const Json schema = params.contains("requestedSchema") ? params.at("requestedSchema") : Json();
  make_visible(params);
  Json out = co_await hooks_.elicit(server_, std::move(params));
  const auto action = out.find("action");
  if (action == out.end() || *action != "accept" || url) {
    out.erase("content");
    co_return out;
  }
  if (!out.contains("content")) out["content"] = Json::object();
  add_defaults(schema, out["content"]);
  co_return out;
}

void add_defaults(const Json& requested_schema, Json& content) {
  if (!requested_schema.is_object() || !content.is_object()) return;
  const auto properties = requested_schema.find("properties");
  if (properties == requested_schema.end() || !properties->is_object()) return;
  for (const auto& [name, property] : properties->items()) {
    if (content.contains(name) || !property.is_object()) continue;
    const auto value = property.find("default");
    if (value != property.end()) content[name] = *value;
  }
}

}  // namespace swarm::mcp
