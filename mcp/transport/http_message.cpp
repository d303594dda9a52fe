#include "mcp/transport/http_message.h"

#include <algorithm>

#include "mcp/message/ascii.h"
#include "mcp/transport/http_parser.h"

namespace swarm::mcp {
namespace {

constexpr int kInterimMax = 16;

bool is_field_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return c == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

}  // namespace

bool same_text(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

const std::string* find_header(const Headers& headers, std::string_view name) {
  for (const auto& [key, value] : headers)
    if (same_text(key, name)) return &value;
  return nullptr;
}

std::vector<std::string> all_headers(const Headers& headers, std::string_view name) {
  std::vector<std::string> out;
  for (const auto& [key, value] : headers)
    if (same_text(key, name)) out.push_back(value);
  return out;
}

bool HttpResponse::is_redirect() const {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string HttpResponse::content_type() const {
  const std::string* value = find_header(headers, "Content-Type");
  if (value == nullptr) return "";
  std::string out = value->substr(0, value->find(';'));
  while (!out.empty() && out.back() == ' ') out.pop_back();
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return lower(c); });
  return out;
}

Result<std::string> write_request(const HttpRequest& request) {
  std::string out = request.method + " " + request.url.target() + " HTTP/1.1\r\n";
  out += "Host: " + request.url.authority() + "\r\n";
  for (const auto& [name, value] : request.headers) {
    if (!is_token(name) || !is_field_value(value))
      return invalid_input("header \"" + name + "\": not a header that can be sent");
    out += name + ": " + value + "\r\n";
  }
  if (!request.body.empty() || request.method == "POST")
    out += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  return out + "\r\n" + request.body;
}

ResponseReader::ResponseReader(bool head_request) : head_request_(head_request) { begin(); }

ResponseReader::~ResponseReader() = default;

void ResponseReader::begin() {
  parser_ = std::make_unique<HttpParser<false>>();
  parser_->skip(head_request_);
}

Result<void> ResponseReader::feed(std::string_view bytes) {
  rest_.append(bytes);
  while (true) {
    if (const auto code = parser_->consume(rest_))
      return failed("not an HTTP response: " + code.message());
    if (!parser_->is_header_done() || head_.status != 0) return {};
    if (parser_->status < 100) return failed("not an HTTP response: no such status");
    // Interim answers (RFC 9110 section 15.2) come before the one that counts.
    if (parser_->status / 100 != 1 || parser_->status == 101) break;
    if (++interim_ > kInterimMax) return failed("not an HTTP response: interim answers only");
    begin();
  }
  head_.status = parser_->status;
  head_.reason = std::move(parser_->reason);
  head_.headers = std::move(parser_->headers);
  return {};
}

Result<void> ResponseReader::end_of_stream() {
  if (parser_->is_done()) return {};
  boost::beast::error_code code;
  if (parser_->got_some()) parser_->put_eof(code);
  if (!parser_->got_some() || code) return failed("the connection was closed in mid-answer");
  return {};
}

bool ResponseReader::head_complete() const { return parser_->is_header_done(); }
bool ResponseReader::complete() const { return parser_->is_done(); }
bool ResponseReader::keep_alive() const { return parser_->keep_alive() && rest_.empty(); }
const HttpResponse& ResponseReader::head() const { return head_; }
std::string ResponseReader::take_body() { return std::exchange(parser_->body, {}); }

}  // namespace swarm::mcp
