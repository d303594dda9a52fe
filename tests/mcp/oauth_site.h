// tests/mcp/oauth_site.h — An MCP server that demands a token and the authorization server that
// gives it, at one loopback address. Strict: PKCE, redirect URI, resource and client are compared,
// refresh tokens work once. Counts what it is asked for. One strand.
#pragma once

#include <boost/asio/io_context.hpp>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "engine/base/async/deadline.h"
#include "mcp/auth/crypto.h"
#include "mcp/message/jsonrpc.h"
#include "mcp/server/http_listener.h"
#include "mcp/transport/url.h"

namespace swarm::mcp::test_world {

class OAuthSite {
 public:
  explicit OAuthSite(Executor executor, Log& log) : listener_({}, std::move(executor), log) {
    listener_.listen();
  }

  std::string base() const { return "http://127.0.0.1:" + std::to_string(listener_.port()); }
  std::string url() const { return base() + "/mcp"; }
  Async<> run() {
    return listener_.run([this](ServerRequest& request, Responder& responder) {
      return answer(request, responder);
    });
  }

  // Tokens that the server takes from now on.
  std::string grant_token() { return *valid_.insert("A" + std::to_string(++granted_)).first; }
  std::string grant_refresh() { return refresh_ = "R" + std::to_string(granted_); }
  void revoke_access() { valid_.clear(); }

  int registrations = 0, authorizations = 0, exchanges = 0, refreshes = 0, refused = 0;
  int unauthorized = 0;                    // requests to the MCP server without a good token
  std::string deny;                        // error of the authorization endpoint
  bool wrong_state = false;
  std::chrono::milliseconds token_delay{0};
  std::vector<std::string> redirect_uris;

 private:
  using Pairs = Parameters;

  static std::string value(const Pairs& pairs, const char* name) {
    const std::string* found = find_parameter(pairs, name);
    return found != nullptr ? *found : "";
  }
  static Async<> json(Responder& responder, int status, Json body) {
    const Headers none;
    return json(responder, status, std::move(body), none);
  }
  static Async<> json(Responder& responder, int status, Json body, Headers more) {
    more.emplace_back("Content-Type", "application/json");
    co_await responder.respond(status, std::move(more), dump_json(body));
  }

  Async<> answer(ServerRequest& request, Responder& responder) {
    const size_t question = request.target.find('?');
    const std::string path = request.target.substr(0, question);
    const Pairs query = question == std::string::npos
                            ? Pairs()
                            : query_parameters(request.target.substr(question));
    if (path == "/mcp") return serve(request, responder);
    if (path == "/.well-known/oauth-protected-resource/mcp")
      return json(responder, 200,
                  Json{{"resource", url()}, {"authorization_servers", Json::array({base()})}});
    if (path == "/.well-known/oauth-authorization-server") return json(responder, 200, about());
    if (path == "/register") return enroll(request, responder);
    if (path == "/authorize") return authorize(query, responder);
    if (path == "/token") return token(query_parameters(request.body), responder);
    return json(responder, 404, Json::object());
  }

  Json about() const {
    Json out = Json::object();
    out["issuer"] = base();
    out["authorization_endpoint"] = base() + "/authorize";
    out["token_endpoint"] = base() + "/token";
    out["registration_endpoint"] = base() + "/register";
    out["code_challenge_methods_supported"] = Json::array({"S256"});
    out["token_endpoint_auth_methods_supported"] = Json::array({"none"});
    out["authorization_response_iss_parameter_supported"] = true;
    return out;
  }

  Async<> enroll(ServerRequest& request, Responder& responder) {
    ++registrations;
    const Json body = parse_json(request.body).value();
    for (const Json& uri : body.at("redirect_uris"))
      redirect_uris.push_back(uri.get<std::string>());
    return json(responder, 201, Json{{"client_id", "client-1"}});
  }

  Async<> authorize(Pairs query, Responder& responder) {
    ++authorizations;
    const std::string back = value(query, "redirect_uri");
    const bool known = value(query, "client_id") == "client-1" && value(query, "resource") == url();
    const bool registered = redirect_uris.size() == 1 && redirect_uris[0] == back;
    if (!known || !registered || value(query, "code_challenge_method") != "S256")
      co_return co_await json(responder, 400, Json::object());
    challenge_ = value(query, "code_challenge");
    Pairs to{{"state", wrong_state ? "another" : value(query, "state")}, {"iss", base()}};
    to.emplace_back(deny.empty() ? "code" : "error", deny.empty() ? "code-1" : deny);
    const Headers headers{{"Location", back + "?" + form_encode(to)}};
    co_await responder.respond(302, headers, "");
  }

  Async<> token(Pairs form, Responder& responder) {
    const std::string grant = value(form, "grant_type");
    bool good = value(form, "client_id") == "client-1" && value(form, "resource") == url();
    if (grant == "authorization_code") {
      ++exchanges;
      good = good && value(form, "code") == "code-1" && redirect_uris.size() == 1 &&
             value(form, "redirect_uri") == redirect_uris[0] &&
             base64url_encode(sha256(value(form, "code_verifier"))) == challenge_;
    } else {
      ++refreshes;
      good = good && grant == "refresh_token" && value(form, "refresh_token") == refresh_;
    }
    refused += good ? 0 : 1;
    Json out = Json::object();
    if (!good) {
      out["error"] = "invalid_grant";
      co_return co_await json(responder, 400, out);
    }
    out["access_token"] = grant_token();
    out["refresh_token"] = grant_refresh();  // the old one is worth nothing from now on
    out["token_type"] = "Bearer";
    out["expires_in"] = 3600;
    if (token_delay.count() > 0)
      co_await wait_until(steady_clock(), steady_clock().now() + token_delay);
    co_await json(responder, 200, out);
  }

  // A legacy server with one tool.
  Async<> serve(ServerRequest& request, Responder& responder) {
    const std::string* sent = find_header(request.headers, "Authorization");
    if (sent == nullptr || !sent->starts_with("Bearer ") || !valid_.contains(sent->substr(7))) {
      ++unauthorized;
      const std::string metadata = base() + "/.well-known/oauth-protected-resource/mcp";
      const Headers headers{
          {"WWW-Authenticate", "Bearer resource_metadata=\"" + metadata + "\""}};
      co_return co_await json(responder, 401, Json::object(), headers);
    }
    const auto messages = decode_line(request.body, size_t{1} << 20);
    if (request.method != "POST" || messages.empty() ||
        messages.front().kind != Incoming::Kind::request)
      co_return co_await responder.respond(request.method == "POST" ? 202 : 405, {}, "");
    const Incoming& message = messages.front();
    Json result = Json::object();
    if (message.method == "initialize")
      result = parse_json(R"({"protocolVersion": "2025-11-25", "serverInfo": {"name": "site",
          "version": "1"}, "capabilities": {"tools": {}}})").value();
    if (message.method == "tools/list")
      result = parse_json(R"({"tools": [{"name": "t", "inputSchema": {"type": "object"}}]})")
                   .value();
    if (message.method == "tools/call")
      result = parse_json(R"({"content": [{"type": "text", "text": "welcome"}]})").value();
    const bool known = message.method != "server/discover";
    const Headers headers{{"Content-Type", "application/json"}};
    const std::string body =
        known ? encode_result(message.id, result) : encode_error(message.id, -32601, "no");
    co_await responder.respond(known ? 200 : 400, headers, body);
  }

  HttpListener listener_;
  std::set<std::string> valid_;
  std::string refresh_, challenge_;
  int granted_ = 0;
};

}  // namespace swarm::mcp::test_world
