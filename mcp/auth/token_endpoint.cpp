#include "mcp/auth/token_endpoint.h"

#include <algorithm>
#include <chrono>

#include "engine/base/async/deadline.h"
#include "mcp/message/header_value.h"
#include "mcp/message/json_member.h"

namespace swarm::mcp {
namespace {

constexpr std::chrono::seconds kAnswerTime{30};

}  // namespace

std::string auth_method_of(const ClientIdentity& client, const ServerMetadata& server) {
  if (!client.auth_method.empty()) return client.auth_method;
  if (client.secret.empty()) return "none";
  const auto& known = server.token_auth_methods;
  const auto supports = [&](const char* method) {
    return std::find(known.begin(), known.end(), method) != known.end();
  };
  if (known.empty() || supports("client_secret_basic")) return "client_secret_basic";
  if (supports("client_secret_post")) return "client_secret_post";
  return "none";
}

std::string Dpop::proof(const std::string& method, const Url& url, const std::string& nonce,
                        const std::string& access_token) const {
  Json header = Json::object();
  header["typ"] = "dpop+jwt";
  header["jwk"] = key_.public_jwk();
  Json claims = Json::object();
  claims["jti"] = random_token(16);
  claims["htm"] = method;
  claims["htu"] = url.text();
  claims["iat"] = unix_seconds(steady_clock());
  if (!nonce.empty()) claims["nonce"] = nonce;
  if (!access_token.empty()) claims["ath"] = base64url_encode(sha256(access_token));
  return key_.sign_jwt(std::move(header), claims).value();
}

Async<HttpResponse> TokenEndpoint::post(Call call) {
  HttpRequest request;
  request.method = "POST";
  request.url = call.url;
  request.headers = {{"Accept", "application/json"},
                     {"User-Agent", "swarm"},
                     {"Content-Type", "application/x-www-form-urlencoded"}};
  if (call.auth_method == "client_secret_basic") {
    const std::string pair =
        percent_encode(call.client.id) + ":" + percent_encode(call.client.secret);
    request.headers.emplace_back("Authorization", "Basic " + base64_encode(pair));
  } else if (call.auth_method == "private_key_jwt") {
    call.form.emplace_back("client_assertion_type",
                           "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    call.form.emplace_back("client_assertion", call.assertion);
  } else {
    if (!call.client.id.empty()) call.form.emplace_back("client_id", call.client.id);
    if (call.auth_method == "client_secret_post")
      call.form.emplace_back("client_secret", call.client.secret);
  }
  if (call.dpop != nullptr)
    request.headers.emplace_back("DPoP", call.dpop->proof("POST", call.url, nonce_, ""));
  request.body = form_encode(call.form);
  const Deadline deadline = Deadline::after(steady_clock(), kAnswerTime);
  co_return co_await with_deadline(client_.fetch(std::move(request), kTokenAnswerMax), deadline);
}

Async<Json> TokenEndpoint::request(Call call) {
  for (int tries = 0;; ++tries) {
    const HttpResponse answer = co_await post(call);
    auto body = parse_json(answer.body);
    const std::string* nonce = find_header(answer.headers, "DPoP-Nonce");
    const std::string error = body ? text_member(*body, "error") : "";
    if (nonce != nullptr) nonce_ = *nonce;
    if (error == "use_dpop_nonce" && nonce != nullptr && tries == 0) continue;
    if (answer.status == 200 && body && !text_member(*body, "access_token").empty())
      co_return std::move(*body);
    std::string text = "authorization: the token endpoint answered HTTP " +
                       std::to_string(answer.status);
    if (!error.empty()) text += " " + error;
    if (body && !text_member(*body, "error_description").empty())
      text += ": " + text_member(*body, "error_description");
    throw ErrorException(environment_error(text));
  }
}

}  // namespace swarm::mcp
