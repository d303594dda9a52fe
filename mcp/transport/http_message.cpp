#include "mcp/transport/http_message.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>

#include "mcp/message/ascii.h"

namespace swarm::mcp {
namespace http = boost::beast::http;
namespace {

using Code = boost::beast::error_code;
using Text = boost::beast::string_view;

bool is_field_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return c == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

std::string_view view(Text text) { return {text.data(), text.size()}; }

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

class ResponseReader::Parser final : public http::basic_parser<false> {
 public:
  explicit Parser(bool head_request) {
    eager(true);
    skip(head_request);
    header_limit(kHeadBytesMax);
    body_limit(boost::none);  // the caller bounds what it keeps
  }

  HttpResponse head;
  std::string body;

 private:
  void on_request_impl(http::verb, Text, Text, int, Code& code) override { code = {}; }
  void on_response_impl(int status, Text reason, int, Code& code) override {
    head.status = status;
    head.reason = std::string(view(reason));
    code = {};
  }
  void on_field_impl(http::field, Text name, Text value, Code& code) override {
    code = {};
    if (head.headers.size() >= kHeadersMax)
      code = http::make_error_code(http::error::header_limit);
    else
      head.headers.emplace_back(std::string(view(name)), std::string(view(value)));
  }
  void on_header_impl(Code& code) override { code = {}; }
  void on_body_init_impl(const boost::optional<uint64_t>&, Code& code) override { code = {}; }
  size_t on_body_impl(Text bytes, Code& code) override {
    body.append(bytes.data(), bytes.size());
    code = {};
    return bytes.size();
  }
  void on_chunk_header_impl(uint64_t, Text, Code& code) override { code = {}; }
  size_t on_chunk_body_impl(uint64_t, Text bytes, Code& code) override {
    return on_body_impl(bytes, code);
  }
  void on_finish_impl(Code& code) override { code = {}; }
};

ResponseReader::ResponseReader(bool head_request)
    : parser_(std::make_unique<Parser>(head_request)) {}

ResponseReader::~ResponseReader() = default;

Result<void> ResponseReader::feed(std::string_view bytes) {
  rest_.append(bytes);
  while (!rest_.empty() && !parser_->is_done()) {
    Code code;
    const size_t used = parser_->put(boost::asio::buffer(rest_), code);
    rest_.erase(0, used);
    if (code == http::error::need_more) break;
    if (code) return failed("not an HTTP response: " + code.message());
    if (used == 0) break;
  }
  return {};
}

Result<void> ResponseReader::end_of_stream() {
  if (parser_->is_done()) return {};
  Code code;
  if (parser_->got_some()) parser_->put_eof(code);
  if (!parser_->got_some() || code) return failed("the connection was closed in mid-answer");
  return {};
}

bool ResponseReader::head_complete() const { return parser_->is_header_done(); }
bool ResponseReader::complete() const { return parser_->is_done(); }
bool ResponseReader::keep_alive() const { return parser_->keep_alive() && rest_.empty(); }
const HttpResponse& ResponseReader::head() const { return parser_->head; }
std::string ResponseReader::take_body() { return std::exchange(parser_->body, {}); }

}  // namespace swarm::mcp
