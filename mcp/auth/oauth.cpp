#include "mcp/auth/oauth.h"

#include <algorithm>
#include <chrono>

#include "engine/base/async/channel.h"
#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "mcp/auth/challenge.h"
#include "mcp/auth/loopback.h"
#include "mcp/auth/token_endpoint.h"
#include "mcp/auth/token_store.h"
#include "mcp/message/json_member.h"

namespace swarm::mcp {
namespace {

constexpr int kStepUpsMax = 3;
constexpr int64_t kEarlySeconds = 30;      // a token is renewed so long before its end
constexpr int64_t kAssertionSeconds = 300;
constexpr std::string_view kJwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";

using Grant = AuthOptions::Grant;

Url endpoint(const std::string& text, const char* what, const Discovery& discovery) {
  const auto url = parse_url(text);
  if (!url) fail_auth(std::string(what) + ": " + url.error().message);
  if (!discovery.may_visit(*url)) fail_auth(std::string(what) + ": expected https, found " + text);
  return *url;
}

struct Token {
  std::string access, refresh, type, scope, issuer, resource;
  int64_t expires = 0;                     // seconds since the epoch; 0 = not said
};

class OAuth final : public Authorizer {
 public:
  OAuth(AuthOptions options, Url server, Executor executor, Log& log)
      : options_(std::move(options)),
        server_(std::move(server)),
        log_(log),
        client_(std::move(executor), http_options(options_, server_)),
        discovery_(server_, client_),
        endpoint_(client_),
        store_(options_.store_file) {
    read_store();
  }

  Async<Headers> headers(std::string method) override {
    const bool stale = token_.expires != 0 &&
                       unix_seconds(steady_clock()) >= token_.expires - kEarlySeconds;
    if (stale && !token_.refresh.empty()) {
      const std::string before = token_.access;
      const auto work = [&]() -> Async<> { co_await try_refresh(before); };
      co_await alone(work);
    }
    Headers out;
    if (token_.access.empty()) co_return out;
    out.emplace_back("Authorization", authorization());
    if (token_.type == "DPoP" && dpop_)
      out.emplace_back("DPoP", dpop_->proof(method, server_, nonce_, token_.access));
    co_return out;
  }

  Async<bool> challenged(HttpResponse answer, Headers sent) override {
    unsettled_ = true;
    const BearerChallenge challenge = bearer_challenge(answer.headers);
    const std::string* used = find_header(sent, "Authorization");
    if (const std::string* nonce = find_header(answer.headers, "DPoP-Nonce")) nonce_ = *nonce;
    if (challenge.error == "use_dpop_nonce" && !nonce_.empty() && !token_.access.empty())
      co_return true;
    const bool renewed = !token_.access.empty() && (used == nullptr || *used != authorization());
    if (renewed) co_return true;  // somebody else got a token meanwhile
    const std::string before = token_.access;
    if (answer.status == 403) {
      if (challenge.error != "insufficient_scope" || options_.grant == Grant::workload)
        co_return false;
      const std::string wanted = united_scopes(requested_, challenge.scope);
      if (wanted == requested_ || ++step_ups_ > kStepUpsMax) co_return false;
      const auto work = [&]() -> Async<> {
        if (token_.access == before) co_await authorize(challenge, wanted);
      };
      co_await alone(work);
      co_return true;
    }
    if (!before.empty() && !accepted_) co_return false;  // a new token, and still no
    const auto work = [&]() -> Async<> {
      if (token_.access == before) co_await obtain(challenge);
    };
    co_await alone(work);
    co_return true;
  }

  void accepted() override {
    accepted_ = true;
    unsettled_ = false;
  }
  bool unsettled() const override { return unsettled_; }

 private:
  static HttpClient::Options http_options(const AuthOptions& options, const Url& server) {
    HttpClient::Options out;
    const bool local = is_loopback_name(server.host) || options.reach_private;
    out.wire.reach = local ? Reach::anywhere : Reach::public_only;
    return out;
  }

  std::string authorization() const { return token_.type + " " + token_.access; }

  // Runs `work` unless somebody is at it already; then waits for him. work: a named lambda; GCC 12
  // destroys temporaries of a co_await expression twice.
  template <class Work>
  Async<> alone(Work work) {
    if (busy_) {
      const auto gate = busy_;
      co_await gate->receive();
      co_return;
    }
    busy_ = std::make_shared<Channel<bool>>(0);  // shared with those who wait
    const auto body = [&]() -> Async<> { co_await work(); };
    const auto done = [this]() -> Async<> {
      busy_->close();
      busy_.reset();
      co_return;
    };
    co_await with_cleanup(body, done);
  }

  // ---- Getting a token.

  // After a 401: refresh if the same authority still answers for the server, else from the start.
  Async<> obtain(BearerChallenge challenge) {
    if (!token_.refresh.empty()) {
      resource_ = co_await discovery_.resource(challenge.resource_metadata);
      const auto& servers = resource_.servers;
      const bool same = servers.empty() ||
                        std::find(servers.begin(), servers.end(), token_.issuer) != servers.end();
      const std::string before = token_.access;
      if (same) co_await try_refresh(before);
      if (token_.access != before) co_return;
    }
    co_await authorize(challenge, "");
  }

  // issuer: "" = the server's own origin, as in 2025-03-26.
  Async<ServerMetadata> authority_of(std::string issuer) {
    if (issuer.empty()) return discovery_.server_at_origin();
    return discovery_.server(std::move(issuer));
  }

  // wanted: "" chooses by the rules of the specification.
  Async<> authorize(BearerChallenge challenge, std::string wanted) {
    resource_ = co_await discovery_.resource(challenge.resource_metadata);
    const std::string issuer = resource_.servers.empty() ? "" : resource_.servers.front();
    authority_ = co_await authority_of(issuer);
    if (authority_.dpop && !dpop_) dpop_.emplace(SigningKey::generate().value());
    std::string scope = !wanted.empty()            ? wanted
                        : !challenge.scope.empty() ? challenge.scope
                                                   : resource_.scopes;
    if (options_.grant == Grant::code && has_scope(authority_.scopes, "offline_access"))
      scope = united_scopes(scope, "offline_access");
    log_.info("mcp.auth.begin", {{"server", server_.origin()}, {"issuer", authority_.issuer}});
    Json answer;
    switch (options_.grant) {
      case Grant::code: answer = co_await code_grant(scope); break;
      case Grant::client_credentials: answer = co_await credentials_grant(scope); break;
      case Grant::workload: answer = co_await workload_grant(scope); break;
      case Grant::enterprise: answer = co_await enterprise_grant(scope); break;
    }
    requested_ = scope;
    adopt(answer, scope);
    const TokenStore::Lock lock = co_await store_.lock();  // others keep theirs in the same file
    write_store();
  }

  void adopt(const Json& answer, const std::string& scope) {
    token_.access = text_member(answer, "access_token");
    if (const std::string refresh = text_member(answer, "refresh_token"); !refresh.empty())
      token_.refresh = refresh;  // else the old one stays good
    token_.type = same_text(text_member(answer, "token_type"), "DPoP") ? "DPoP" : "Bearer";
    token_.scope = text_member(answer, "scope").empty() ? scope : text_member(answer, "scope");
    token_.issuer = authority_.issuer;
    token_.resource = resource_.resource;
    const auto expires = answer.find("expires_in");
    const bool said = expires != answer.end() && expires->is_number();
    token_.expires = said ? unix_seconds(steady_clock()) + expires->get<int64_t>() : 0;
    accepted_ = false;
  }

  TokenEndpoint::Call token_call(const ClientIdentity& client) const {
    TokenEndpoint::Call call;
    call.url = endpoint(authority_.token_endpoint, "token endpoint", discovery_);
    call.client = client;
    call.auth_method = auth_method_of(client, authority_);
    call.dpop = authority_.dpop && dpop_ ? &*dpop_ : nullptr;
    return call;
  }

  void add_target(Parameters& form, const std::string& scope) const {
    if (!scope.empty()) form.emplace_back("scope", scope);
    if (!resource_.resource.empty()) form.emplace_back("resource", resource_.resource);
  }

  // ---- Grants.

  Async<Json> code_grant(std::string scope) {
    if (!options_.authorize) fail_auth("a person must allow it, and nobody can be asked here");
    if (!authority_.s256) fail_auth("the authorization server does not support PKCE with S256");
    const ClientIdentity client = co_await identity();
    const std::string verifier = random_token(48), state = random_token(24);
    Parameters query{{"response_type", "code"},
                     {"client_id", client.id},
                     {"redirect_uri", options_.redirect_uri},
                     {"state", state},
                     {"code_challenge", base64url_encode(sha256(verifier))},
                     {"code_challenge_method", "S256"}};
    add_target(query, scope);
    const Url page =
        endpoint(authority_.authorization_endpoint, "authorization endpoint", discovery_);
    const std::string url =
        page.text() + (page.query.empty() ? "?" : page.query + "&") + form_encode(query);
    const std::string landed = co_await options_.authorize(url);
    const std::string code = code_from(landed, state);
    TokenEndpoint::Call call = token_call(client);
    call.form = {{"grant_type", "authorization_code"},
                 {"code", code},
                 {"redirect_uri", options_.redirect_uri},
                 {"code_verifier", verifier}};
    if (!resource_.resource.empty()) call.form.emplace_back("resource", resource_.resource);
    co_return co_await endpoint_.request(std::move(call));
  }

  // The code of an authorization response that is really an answer to our question (RFC 9207).
  std::string code_from(const std::string& landed, const std::string& state) const {
    const size_t question = landed.find('?');
    Parameters answer;
    if (question != std::string::npos)
      answer = query_parameters(landed.substr(question, landed.find('#') - question));
    const std::string* got_state = find_parameter(answer, "state");
    if (got_state == nullptr || *got_state != state) fail_auth("the answer is not to our question");
    const std::string* iss = find_parameter(answer, "iss");
    if (iss == nullptr && authority_.iss_parameter)
      fail_auth("the answer does not name its issuer");
    if (iss != nullptr && *iss != authority_.issuer)
      fail_auth("expected an answer of \"" + authority_.issuer + "\", found \"" + *iss + "\"");
    if (const std::string* error = find_parameter(answer, "error")) {
      const std::string* words = find_parameter(answer, "error_description");
      fail_auth(*error + (words != nullptr ? ": " + *words : ""));
    }
    const std::string* code = find_parameter(answer, "code");
    if (code == nullptr || code->empty()) fail_auth("the answer carries no code");
    return *code;
  }

  Async<Json> credentials_grant(std::string scope) {
    ClientIdentity client{options_.client_id, options_.client_secret, ""};
    TokenEndpoint::Call call = token_call(client);
    if (!options_.private_key_pem.empty()) {
      call.auth_method = "private_key_jwt";
      call.assertion = client_assertion(client.id);
    }
    call.form = {{"grant_type", "client_credentials"}};
    add_target(call.form, scope);
    co_return co_await endpoint_.request(std::move(call));
  }

  std::string client_assertion(const std::string& client_id) const {
    const std::string algorithm =
        options_.signing_algorithm.empty() ? "ES256" : options_.signing_algorithm;
    const auto key = SigningKey::from_pem(options_.private_key_pem, algorithm);
    if (!key) fail_auth(key.error().message);
    Json header = Json::object();
    header["typ"] = "JWT";
    Json claims = Json::object();
    claims["iss"] = client_id;
    claims["sub"] = client_id;
    claims["aud"] = authority_.issuer;
    claims["jti"] = random_token(16);
    claims["iat"] = unix_seconds(steady_clock());
    claims["exp"] = unix_seconds(steady_clock()) + kAssertionSeconds;
    const auto jwt = key->sign_jwt(std::move(header), claims);
    if (!jwt) fail_auth(jwt.error().message);
    return *jwt;
  }

  // The platform's own JWT is the assertion; a refusal is final, no other grant is tried.
  Async<Json> workload_grant(std::string scope) {
    const ClientIdentity client{options_.client_id, "", "none"};
    TokenEndpoint::Call call = token_call(client);
    call.form = {{"grant_type", std::string(kJwtBearer)}, {"assertion", options_.assertion}};
    add_target(call.form, scope);
    co_return co_await endpoint_.request(std::move(call));
  }

  // RFC 8693 at the company's identity provider, then RFC 7523 at the authorization server.
  Async<Json> enterprise_grant(std::string scope) {
    TokenEndpoint::Call exchange;
    exchange.url = endpoint(options_.idp_token_endpoint, "identity provider", discovery_);
    exchange.client = {options_.idp_client_id, "", "none"};
    exchange.auth_method = "none";
    exchange.form = {
        {"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"},
        {"requested_token_type", "urn:ietf:params:oauth:token-type:id-jag"},
        {"subject_token", options_.idp_id_token},
        {"subject_token_type", "urn:ietf:params:oauth:token-type:id_token"},
        {"audience", authority_.issuer}};
    add_target(exchange.form, scope);
    const Json grant = co_await endpoint_.request(std::move(exchange));
    const ClientIdentity client{options_.client_id, options_.client_secret, ""};
    TokenEndpoint::Call call = token_call(client);
    call.form = {{"grant_type", std::string(kJwtBearer)},
                 {"assertion", text_member(grant, "access_token")}};
    if (!scope.empty()) call.form.emplace_back("scope", scope);
    co_return co_await endpoint_.request(std::move(call));
  }

  // A refresh that fails leaves the token as it is. before: what is to be replaced.
  Async<> try_refresh(std::string before) {
    const TokenStore::Lock lock = co_await store_.lock();
    read_store();  // another process may have been faster
    if (token_.access != before || token_.refresh.empty()) co_return;
    std::string problem;
    try {
      // Named: GCC 12 destroys the text of a `? :` inside a co_await expression twice.
      const std::string issuer = token_.resource.empty() ? "" : token_.issuer;
      if (authority_.issuer != token_.issuer || authority_.token_endpoint.empty())
        authority_ = co_await authority_of(issuer);
      const ClientIdentity client = co_await identity();
      TokenEndpoint::Call call = token_call(client);
      call.form = {{"grant_type", "refresh_token"}, {"refresh_token", token_.refresh}};
      if (!token_.resource.empty()) call.form.emplace_back("resource", token_.resource);
      resource_.resource = token_.resource;
      const Json answer = co_await endpoint_.request(std::move(call));
      adopt(answer, token_.scope);
      write_store();
    } catch (const ErrorException& e) {
      if (e.error().kind == ErrorKind::cancelled) throw;
      problem = e.error().message;
    }
    if (problem.empty()) co_return;
    log_.warn("mcp.auth.refresh_failed", {{"server", server_.origin()}, {"why", problem}});
    token_.refresh.clear();
  }

  // ---- Who we are, per issuer.

  Async<ClientIdentity> identity() {
    ClientIdentity out{options_.client_id, options_.client_secret, ""};
    if (!out.id.empty()) co_return out;
    const auto known = clients_.find(authority_.issuer);
    if (known != clients_.end()) co_return known->second;
    if (authority_.client_id_documents && !options_.client_metadata_url.empty()) {
      out = ClientIdentity{options_.client_metadata_url, "", "none"};
    } else if (!authority_.registration_endpoint.empty()) {
      out = co_await register_client();
    } else {
      fail_auth("the authorization server registers no clients; set a client id for it");
    }
    clients_[authority_.issuer] = out;
    co_return out;
  }

  Async<ClientIdentity> register_client() {
    const auto& methods = authority_.token_auth_methods;
    const auto supports = [&](const char* method) {
      return std::find(methods.begin(), methods.end(), method) != methods.end();
    };
    const std::string method = methods.empty() || supports("none")   ? "none"
                               : supports("client_secret_basic") ? "client_secret_basic"
                                                                 : "client_secret_post";
    Json body = Json::object();
    body["client_name"] = options_.client_name;
    body["redirect_uris"] = Json::array({options_.redirect_uri});
    body["grant_types"] = Json::array({"authorization_code", "refresh_token"});
    body["response_types"] = Json::array({"code"});
    body["token_endpoint_auth_method"] = method;
    body["application_type"] = "native";
    HttpRequest request;
    request.method = "POST";
    request.url = endpoint(authority_.registration_endpoint, "registration endpoint", discovery_);
    request.headers = {{"Accept", "application/json"}, {"Content-Type", "application/json"},
                       {"User-Agent", "swarm"}};
    request.body = dump_json(body);
    const HttpResponse answer = co_await client_.fetch(std::move(request), kTokenAnswerMax);
    const auto found = parse_json(answer.body);
    if (answer.status / 100 != 2 || !found || text_member(*found, "client_id").empty())
      fail_auth("registration failed with HTTP " + std::to_string(answer.status));
    ClientIdentity out;
    out.id = text_member(*found, "client_id");
    out.secret = text_member(*found, "client_secret");
    out.auth_method = text_member(*found, "token_endpoint_auth_method");
    co_return out;
  }

  // ---- Between runs.

  void read_store() {
    const Json entry = store_.load(server_.text());
    if (!entry.is_object()) return;
    const Json token = object_member(entry, "token");
    token_.access = text_member(token, "access");
    token_.refresh = text_member(token, "refresh");
    token_.type = text_member(token, "type");
    token_.scope = text_member(token, "scope");
    token_.issuer = text_member(token, "issuer");
    token_.resource = text_member(token, "resource");
    const auto expires = token.find("expires");
    const bool said = expires != token.end() && expires->is_number_integer();
    token_.expires = said ? expires->get<int64_t>() : 0;
    if (requested_.empty()) requested_ = token_.scope;
    if (token_.type == "DPoP") token_ = {};  // its key did not survive
    accepted_ = accepted_ || !token_.access.empty();
    const Json clients = object_member(entry, "clients");  // lives as long as the loop
    for (const auto& [issuer, client] : clients.items())
      clients_[issuer] = {text_member(client, "id"), text_member(client, "secret"),
                          text_member(client, "auth_method")};
  }

  void write_store() {
    Json clients = Json::object();
    for (const auto& [issuer, client] : clients_)
      clients[issuer] = Json{{"id", client.id}, {"secret", client.secret},
                             {"auth_method", client.auth_method}};
    const Json token{{"access", token_.access}, {"refresh", token_.refresh},
                     {"type", token_.type},     {"scope", token_.scope},
                     {"issuer", token_.issuer}, {"resource", token_.resource},
                     {"expires", token_.expires}};
    const auto saved =
        store_.save(server_.text(), Json{{"token", token}, {"clients", std::move(clients)}});
    if (!saved) log_.warn("mcp.auth.not_saved", {{"why", saved.error().message}});
  }

  const AuthOptions options_;
  const Url server_;
  Log& log_;
  HttpClient client_;
  Discovery discovery_;
  TokenEndpoint endpoint_;
  TokenStore store_;
  std::optional<Dpop> dpop_;
  std::string nonce_;                      // of the resource server
  ResourceMetadata resource_;
  ServerMetadata authority_;
  std::map<std::string, ClientIdentity> clients_;  // by issuer
  Token token_;
  std::string requested_;                  // scopes asked for so far
  int step_ups_ = 0;
  bool accepted_ = false;                  // the current token has worked
  bool unsettled_ = false;
  std::shared_ptr<Channel<bool>> busy_;
};

}  // namespace

std::unique_ptr<Authorizer> make_oauth(AuthOptions options, Url server, Executor executor,
                                       Log& log) {
  if (options.browser && !options.authorize) {
    if (options.redirect_uri.empty()) options.redirect_uri = loopback_redirect_uri();
    options.authorize = [uri = options.redirect_uri, &log](std::string url) {
      return visit_with_browser(std::move(url), uri, log);
    };
  }
  return std::make_unique<OAuth>(std::move(options), std::move(server), std::move(executor), log);
}

}  // namespace swarm::mcp
