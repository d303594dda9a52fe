#include "mcp/auth/metadata.h"

#include <algorithm>

#include "engine/base/async/deadline.h"
#include "mcp/message/json_member.h"

namespace swarm::mcp {
namespace {

constexpr size_t kDocumentMax = size_t{1} << 20;
constexpr std::chrono::seconds kDocumentTime{10};

bool true_member(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

std::vector<std::string> texts_member(const Json& object, const char* key) {
  std::vector<std::string> out;
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) return out;
  for (const Json& one : *found)
    if (one.is_string()) out.push_back(one.get<std::string>());
  return out;
}

bool contains(const std::vector<std::string>& list, std::string_view one) {
  return std::find(list.begin(), list.end(), one) != list.end();
}

// Same origin, and a path that is ours or a folder above it.
bool covers(const std::string& resource, const Url& server) {
  const auto url = parse_url(resource);
  if (!url || url->origin() != server.origin()) return false;
  std::string path = url->path;
  while (!path.empty() && path.back() == '/') path.pop_back();
  return path.empty() || server.path == path || server.path.rfind(path + "/", 0) == 0;
}

ServerMetadata read_server(const Json& document) {
  ServerMetadata out;
  out.issuer = text_member(document, "issuer");
  out.authorization_endpoint = text_member(document, "authorization_endpoint");
  out.token_endpoint = text_member(document, "token_endpoint");
  out.registration_endpoint = text_member(document, "registration_endpoint");
  out.token_auth_methods = texts_member(document, "token_endpoint_auth_methods_supported");
  if (document.contains("scopes_supported"))
    out.scopes = joined_words(document.at("scopes_supported"));
  out.s256 = contains(texts_member(document, "code_challenge_methods_supported"), "S256");
  out.iss_parameter = true_member(document, "authorization_response_iss_parameter_supported");
  out.client_id_documents = true_member(document, "client_id_metadata_document_supported");
  out.dpop = contains(texts_member(document, "dpop_signing_alg_values_supported"), "ES256");
  return out;
}

// Where RFC 8414 and OpenID put the document of an issuer, in the order of the specification.
std::vector<std::string> well_known(const Url& issuer) {
  std::string path = issuer.path;
  while (!path.empty() && path.back() == '/') path.pop_back();
  const std::string origin = issuer.origin();
  if (path.empty())
    return {origin + "/.well-known/oauth-authorization-server",
            origin + "/.well-known/openid-configuration"};
  return {origin + "/.well-known/oauth-authorization-server" + path,
          origin + "/.well-known/openid-configuration" + path,
          origin + path + "/.well-known/openid-configuration"};
}

}  // namespace

void fail_auth(const std::string& text) {
  throw ErrorException(environment_error("authorization: " + text));
}

std::string joined_words(const Json& list) {
  std::string out;
  if (!list.is_array()) return out;
  for (const Json& one : list)
    if (one.is_string()) out += (out.empty() ? "" : " ") + one.get<std::string>();
  return out;
}

bool Discovery::may_visit(const Url& url) const {
  return url.tls() || is_loopback_name(url.host) || url.origin() == server_.origin();
}

// nullopt: there is no such document, or it is no JSON object.
Async<std::optional<Json>> Discovery::document(std::string url) {
  const auto parsed = parse_url(url);
  if (!parsed) co_return std::nullopt;
  if (!may_visit(*parsed)) fail_auth("expected https, found \"" + url + "\"");
  HttpRequest request;
  request.url = *parsed;
  request.headers = {{"Accept", "application/json"}, {"User-Agent", "swarm"}};
  request.safe = true;
  const Deadline deadline = Deadline::after(steady_clock(), kDocumentTime);
  const HttpResponse answer =
      co_await with_deadline(client_.fetch(std::move(request), kDocumentMax), deadline);
  if (answer.status != 200) co_return std::nullopt;
  auto json = parse_json(answer.body);
  if (!json || !json->is_object()) co_return std::nullopt;
  co_return std::move(*json);
}

Async<ResourceMetadata> Discovery::resource(std::string hinted) {
  std::vector<std::string> places;
  if (!hinted.empty()) places.push_back(hinted);
  const std::string root = server_.origin() + "/.well-known/oauth-protected-resource";
  if (server_.path != "/") places.push_back(root + server_.path);
  places.push_back(root);
  for (const std::string& place : places) {
    const std::optional<Json> found = co_await document(place);
    if (!found) continue;
    ResourceMetadata out;
    out.resource = text_member(*found, "resource");
    out.servers = texts_member(*found, "authorization_servers");
    if (found->contains("scopes_supported"))
      out.scopes = joined_words(found->at("scopes_supported"));
    if (!covers(out.resource, server_))
      fail_auth("the resource metadata is about \"" + out.resource + "\", not about " +
                server_.text());
    if (out.servers.empty()) fail_auth("the resource metadata names no authorization server");
    co_return out;
  }
  ResourceMetadata none;
  co_return none;
}

Async<ServerMetadata> Discovery::server(std::string issuer) {
  const auto url = parse_url(issuer);
  if (!url) fail_auth("issuer: " + url.error().message);
  for (const std::string& place : well_known(*url)) {
    const std::optional<Json> found = co_await document(place);
    if (!found) continue;
    ServerMetadata out = read_server(*found);
    if (out.issuer != issuer)
      fail_auth("expected metadata of the issuer \"" + issuer + "\", found \"" + out.issuer + "\"");
    co_return out;
  }
  fail_auth("no metadata of the authorization server \"" + issuer + "\"");
}

Async<ServerMetadata> Discovery::server_at_origin() {
  const std::string origin = server_.origin();
  const std::optional<Json> found =
      co_await document(origin + "/.well-known/oauth-authorization-server");
  if (found) {
    ServerMetadata out = read_server(*found);
    const auto issuer = parse_url(out.issuer);
    if (!issuer || issuer->origin() != origin)
      fail_auth("expected metadata of the issuer \"" + origin + "\", found \"" + out.issuer + "\"");
    co_return out;
  }
  ServerMetadata out;
  out.issuer = origin;
  out.authorization_endpoint = origin + "/authorize";
  out.token_endpoint = origin + "/token";
  out.registration_endpoint = origin + "/register";
  out.s256 = true;  // 2025-03-26 demands PKCE of every server
  out.guessed = true;
  co_return out;
}

}  // namespace swarm::mcp
