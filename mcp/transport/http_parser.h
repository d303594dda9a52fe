// mcp/transport/http_parser.h — one HTTP/1.1 message out of untrusted bytes, by Boost.Beast. For
// the reader of answers and the listener; pure. Nothing without an end is kept: heads, extensions
// of chunks and trailers end at kHeadBytesMax; whoever owns the parser bounds the body.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <string>

#include "mcp/transport/http_message.h"

namespace swarm::mcp {

template <bool kRequest>
class HttpParser final : public boost::beast::http::basic_parser<kRequest> {
 public:
  using Code = boost::beast::error_code;

  HttpParser() {
    this->eager(true);
    this->header_limit(kHeadBytesMax);
    this->body_limit(boost::none);
  }

  std::string method, target;  // of a request
  int status = 0;              // of a response
  std::string reason;
  Headers headers;             // without trailers: they come after what they would change
  std::string body;            // grows; take it away

  // Takes what it can off the front of `rest`; what is left it wants to see again, with more.
  Code consume(std::string& rest) {
    namespace http = boost::beast::http;
    while (!rest.empty() && !this->is_done()) {
      // Asked again about a last chunk, Boost 1.81 asserts that all of it is there
      // (boostorg/beast, pull request 2861).
      if (starved_ && this->is_header_done() && rest.size() < kLastChunkBytes) break;
      Code code;
      const size_t used = this->put(boost::asio::buffer(rest), code);
      rest.erase(0, used);
      starved_ = code == http::error::need_more;
      if (starved_ && rest.size() > kHeadBytesMax)
        return http::make_error_code(http::error::header_limit);
      if (starved_ || (!code && used == 0)) break;
      if (code) return code;
    }
    return {};
  }

 private:
  using Text = boost::beast::string_view;
  static constexpr size_t kLastChunkBytes = 5;  // "0\r\n\r\n"

  static std::string copy(Text text) { return {text.data(), text.size()}; }

  void on_request_impl(boost::beast::http::verb, Text name, Text where, int, Code& code) override {
    method = copy(name);
    target = copy(where);
    code = {};
  }
  void on_response_impl(int number, Text text, int, Code& code) override {
    status = number;
    reason = copy(text);
    code = {};
  }
  void on_field_impl(boost::beast::http::field, Text name, Text value, Code& code) override {
    code = {};
    if (this->is_header_done()) return;
    if (headers.size() >= kHeadersMax)
      code = boost::beast::http::make_error_code(boost::beast::http::error::header_limit);
    else
      headers.emplace_back(copy(name), copy(value));
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

  bool starved_ = false;       // the last look at `rest` ended for want of bytes
};

}  // namespace swarm::mcp
