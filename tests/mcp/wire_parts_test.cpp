// Parsers and codecs of the HTTP side: bytes of strangers.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "engine/base/rng.h"
#include "mcp/auth/challenge.h"
#include "mcp/auth/crypto.h"
#include "mcp/client/asks.h"
#include "mcp/message/header_value.h"
#include "mcp/message/sse.h"
#include "mcp/server/seal.h"
#include "mcp/server/uri_template.h"
#include "mcp/transport/http_message.h"
#include "mcp/transport/url.h"
#include "mcp/transport/wire.h"

namespace swarm::mcp {
namespace {

// Events as "type|data;" with the text cut into pieces of `piece` bytes.
std::string events_of(const std::string& text, size_t piece) {
  SseParser parser(1 << 16);
  std::string out;
  for (size_t at = 0; at < text.size(); at += piece)
    parser.feed(std::string_view(text).substr(at, piece),
                [&](const SseEvent& event) { out += event.type + "|" + event.data + ";"; });
  return out;
}

TEST_CASE("sse: every kind of line end, comments, marks and cuts give the same events") {
  const std::string text =
      "\xEF\xBB\xBF: hello\n\nevent: a\r\ndata: one\r\ndata:two\r\n\r\n:\ndata\rdata:  x\r\r"
      "event: nothing\n\nid: 7\ndata: last\n\ndata: cut off";
  for (size_t piece = 1; piece < 20; ++piece) {
    CAPTURE(piece);
    CHECK(events_of(text, piece) == "a|one\ntwo;message|\n x;message|last;");
  }
}

TEST_CASE("sse: ids and retry are remembered, nonsense in them is not") {
  SseParser parser(1 << 16);
  int count = 0;
  const auto on_event = [&](const SseEvent&) { ++count; };
  parser.feed("id: 1\nretry: 500\ndata:\n\n", on_event);
  CHECK(count == 1);  // a priming event
  CHECK(parser.last_id() == "1");
  CHECK(parser.retry() == std::chrono::milliseconds(500));
  parser.feed(std::string("id: a\0b\n", 8), on_event);
  parser.feed("retry: 5x\nretry: -1\n\n", on_event);
  CHECK(parser.last_id() == "1");
  CHECK(parser.retry() == std::chrono::milliseconds(500));
  parser.feed("data: half", on_event);
  parser.reconnected();
  parser.feed("data: whole\n\n", on_event);
  CHECK(count == 2);
  CHECK(parser.last_id() == "1");
}

TEST_CASE("sse: an event beyond the limit is dropped, the next one arrives") {
  SseParser parser(100);
  std::string got;
  const auto on_event = [&](const SseEvent& event) { got += event.data + ";"; };
  parser.feed("data: " + std::string(1000, 'x') + "\n\n", on_event);
  for (int i = 0; i < 50; ++i) parser.feed("data: 0123456789\n", on_event);
  parser.feed("\ndata: fine\n\n", on_event);
  CHECK(got == "fine;");
  CHECK(parser.dropped() == 2);
}

TEST_CASE("sse: random bytes in random pieces never change the events") {
  Rng rng(7);
  const std::string alphabet = "data:id event\r\n\xEF\xBB\xBF:x1";
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < 200; ++i) text += alphabet[rng.next() % alphabet.size()];
    CAPTURE(text);
    CHECK(events_of(text, 1) == events_of(text, text.size()));
    CHECK(events_of(text, 3) == events_of(text, text.size()));
  }
}

TEST_CASE("header values: what a header cannot carry is base64, and comes back") {
  CHECK(encode_header_value("us-west 1") == "us-west 1");
  CHECK(encode_header_value("") == "");
  CHECK(encode_header_value("\xE2\x82\xAC") == "=?base64?4oKs?=");
  for (const char* text : {" a", "a ", "a\tb", "a\r\nb", "=?base64?x", "\xC3\xBC", "plain", ""}) {
    CAPTURE(std::string(text));
    CHECK(decode_header_value(encode_header_value(text)) == text);
  }
  CHECK(encode_header_value("a\tb").rfind("=?base64?", 0) == 0);
  CHECK(decode_header_value("=?base64?4oKs") == "=?base64?4oKs");  // half a sentinel is none
  for (const char* bad : {"=?base64?4oK?=", "=?base64?4o*s?=", "=?base64?4===?="})
    CHECK_FALSE(decode_header_value(bad));
  for (size_t size = 0; size < 40; ++size) {
    std::string bytes;
    for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(i * 37 + size);
    CHECK(base64_decode(base64_encode(bytes)) == bytes);
  }
}

Result<std::vector<HeaderParam>> params_of(const std::string& schema) {
  return header_params(parse_json(schema).value());
}

TEST_CASE("x-mcp-header: plain properties only, each name once") {
  const auto good = params_of(R"({"properties":{"a":{"type":"string","x-mcp-header":"Region"},
    "b":{"properties":{"c":{"type":"integer","x-mcp-header":"Deep"}}},
    "d":{"enum":[{"x-mcp-header":5}],"type":"string"}}})");
  REQUIRE(good.has_value());
  REQUIRE(good->size() == 2);
  CHECK((*good)[1].header == "Mcp-Param-Deep");
  const Json arguments = parse_json(R"({"a":" x","b":{"c":30.0}})").value();
  CHECK(header_argument((*good)[0], arguments) == "=?base64?IHg=?=");
  CHECK(header_argument((*good)[1], arguments) == "30");
  CHECK_FALSE(header_argument((*good)[1], parse_json(R"({"b":{"c":null}})").value()));
  CHECK_FALSE(header_argument((*good)[1], parse_json(R"({"b":5})").value()));
  for (const char* bad :
       {R"({"properties":{"a":{"type":"string","x-mcp-header":""}}})",
        R"({"properties":{"a":{"type":"string","x-mcp-header":"a b"}}})",
        R"({"properties":{"a":{"type":"number","x-mcp-header":"A"}}})",
        R"({"properties":{"a":{"$ref":"#/x","x-mcp-header":"A"}}})",
        R"({"properties":{"a":{"items":{"type":"string","x-mcp-header":"A"}}}})",
        R"({"allOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]})",
        R"({"properties":{"a":{"type":"string","x-mcp-header":"A"},
            "b":{"type":"string","x-mcp-header":"a"}}})"}) {
    CAPTURE(std::string(bad));
    CHECK_FALSE(params_of(bad).has_value());
  }
}

TEST_CASE("challenges: quoted, bare and several") {
  const auto found = parse_challenges(
      R"(Basic realm="a, b", Bearer error="insufficient_scope", scope="x \"y\"",)"
      R"( resource_metadata=https://h/x?y=1)");
  REQUIRE(found.size() == 2);
  CHECK(found[0].scheme == "basic");
  CHECK(*found[0].find("realm") == "a, b");
  CHECK(*found[1].find("scope") == "x \"y\"");
  CHECK(*found[1].find("resource_metadata") == "https://h/x?y=1");
  for (const char* odd : {"", ",", "=", "Bearer", "\"", "Bearer a=\"", "Bearer =b", "\x01\x02"})
    parse_challenges(odd);  // nothing to say, but no crash and no endless loop
  const Headers headers{{"www-authenticate", "Bearer scope=\"a b\""}};
  CHECK(bearer_challenge(headers).scope == "a b");
  CHECK(united_scopes("a b", "b c") == "a b c");
}

TEST_CASE("urls: taken apart without being changed, strangers refused") {
  const Url url = parse_url("HTTP://Example.test:8080/a/b?x=1#frag").value();
  CHECK(url.origin() == "http://example.test:8080");
  CHECK(url.target() == "/a/b?x=1");
  CHECK(parse_url("https://h").value().text() == "https://h/");
  CHECK(parse_url("https://h:443/x").value().origin() == "https://h");
  CHECK(parse_url("http://[::1]:9/x").value().host == "::1");
  CHECK(parse_url("http://[::1]:9/x").value().authority() == "[::1]:9");
  for (const char* bad : {"", "h", "ftp://h/", "http://", "http://a@b/", "http://h:0/",
                          "http://h:99999/", "http://h/a b", "http://h/\n", "http://[::1/"})
    CHECK_FALSE(parse_url(bad).has_value());
  const Url base = parse_url("http://h/a/b").value();
  CHECK(resolve_url(base, "c?d").value().text() == "http://h/a/c");
  CHECK(resolve_url(base, "/c").value().text() == "http://h/c");
  CHECK(resolve_url(base, "../../x").value().text() == "http://h/x");
  CHECK(resolve_url(base, "https://o/x").value().origin() == "https://o");
  CHECK(resolve_url(base, "//o/x").value().origin() == "http://o");
  CHECK(percent_decode("a%20b%zz%4") == "a b%zz%4");
  CHECK(form_encode({{"a b", "c&d"}}) == "a%20b=c%26d");
}

TEST_CASE("addresses: what no stranger may send us to") {
  for (const char* inside : {"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1",
                             "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1", "::1",
                             "fe80::1", "fd00::1",
                             "::ffff:10.0.0.1", "255.255.255.255"}) {
    CAPTURE(std::string(inside));
    CHECK_FALSE(is_public(boost::asio::ip::make_address(inside)));
  }
  for (const char* outside : {"8.8.8.8", "172.32.0.1", "2606:4700::1111"})
    CHECK(is_public(boost::asio::ip::make_address(outside)));
}

TEST_CASE("http answers: chunks, lengths and ends in any pieces") {
  const std::string chunked =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n"
      "5\r\nhello\r\n1\r\n!\r\n0\r\nX: trailer\r\n\r\n";
  for (size_t piece = 1; piece < chunked.size(); ++piece) {
    ResponseReader reader;
    std::string body;
    for (size_t at = 0; at < chunked.size(); at += piece) {
      REQUIRE(reader.feed(std::string_view(chunked).substr(at, piece)).has_value());
      body += reader.take_body();
    }
    CHECK(reader.complete());
    CHECK(reader.keep_alive());
    CHECK(body == "hello!");
    CHECK(reader.head().status == 200);
    CHECK(all_headers(reader.head().headers, "x") == std::vector<std::string>{"y"});
  }
  ResponseReader open_ended;
  REQUIRE(open_ended.feed("HTTP/1.0 200 OK\r\n\r\nall of it").has_value());
  CHECK_FALSE(open_ended.complete());
  CHECK(open_ended.end_of_stream().has_value());
  CHECK(open_ended.take_body() == "all of it");
  ResponseReader cut;
  REQUIRE(cut.feed("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").has_value());
  CHECK_FALSE(cut.end_of_stream().has_value());
  ResponseReader nonsense;
  CHECK_FALSE(nonsense.feed("<html>\r\n\r\n").has_value());
  HttpRequest request;
  request.url = parse_url("http://h/x").value();
  request.headers = {{"A", "b\r\nInjected: yes"}};
  CHECK_FALSE(write_request(request).has_value());
}

TEST_CASE("http answers: an empty last chunk may come in any pieces") {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string last = "0\r\n\r\n";
  for (size_t cut = 1; cut < last.size(); ++cut) {
    ResponseReader reader;
    REQUIRE(reader.feed(head + last.substr(0, cut)).has_value());
    for (const char byte : last.substr(cut)) {
      CHECK_FALSE(reader.complete());
      REQUIRE(reader.feed(std::string(1, byte)).has_value());
    }
    CHECK(reader.complete());
  }
}

TEST_CASE("http answers: interim ones are passed over, and do not go on for ever") {
  const std::string interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  const std::string final = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
  for (size_t cut = 1; cut < interim.size() + final.size(); ++cut) {
    ResponseReader reader;
    const std::string whole = interim + final;
    CAPTURE(cut);
    REQUIRE(reader.feed(whole.substr(0, cut)).has_value());
    REQUIRE(reader.feed(whole.substr(cut)).has_value());
    CHECK(reader.complete());
    CHECK(reader.head().status == 202);
    CHECK(find_header(reader.head().headers, "Link") == nullptr);
  }
  ResponseReader endless;
  bool refused = false;
  for (int i = 0; i < 100 && !refused; ++i) refused = !endless.feed(interim);
  CHECK(refused);
}

TEST_CASE("http answers: chunk extensions and trailers are bounded") {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string start : {"5;x=", "0\r\nT: "}) {
    ResponseReader reader;
    REQUIRE(reader.feed(head + start).has_value());
    size_t taken = 0;
    while (taken < 4 * kHeadBytesMax && reader.feed(std::string(1000, 'x'))) taken += 1000;
    CAPTURE(start);
    CHECK(taken < 2 * kHeadBytesMax);
  }
}

TEST_CASE("seals: opened only unchanged, in time, for the same call, by the same process") {
  const Seal seal;
  const std::string closed = seal.close(Json{{"a", 1}}, "call x");
  REQUIRE(seal.open(closed, "call x").has_value());
  CHECK(dump_json(*seal.open(closed, "call x")) == R"({"a":1})");
  CHECK_FALSE(seal.open(closed, "call y"));
  CHECK_FALSE(Seal().open(closed, "call x"));
  for (size_t i = 0; i < closed.size(); ++i) {
    std::string changed = closed;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    CHECK_FALSE(seal.open(changed, "call x"));
  }
  CHECK_FALSE(seal.open("", ""));
  CHECK_FALSE(seal.open("....", ""));
}

TEST_CASE("templates: variables stop at slashes") {
  CHECK(matches_template("test://t/{id}/data", "test://t/123/data"));
  CHECK_FALSE(matches_template("test://t/{id}/data", "test://t/1/2/data"));
  CHECK_FALSE(matches_template("test://t/{id}/data", "test://t//data"));
  CHECK_FALSE(matches_template("test://t/{id}/data", "test://t/1/data/"));
  CHECK(matches_template("a{x}b{y}", "a1b2"));
  CHECK_FALSE(matches_template("a{x", "a1"));
}

TEST_CASE("forms: defaults fill what an answer leaves out") {
  Json content{{"name", "Ann"}};
  add_defaults(parse_json(R"({"properties":{"name":{"default":"x"},"age":{"default":3},
                              "free":{"type":"string"}}})").value(), content);
  CHECK(dump_json(content) == R"({"name":"Ann","age":3})");
}

TEST_CASE("keys: sha256 and the signature of a token have the lengths of the standards") {
  // FIPS 180-2, "abc".
  CHECK(base64url_encode(sha256("abc")) == "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
  const SigningKey key = SigningKey::generate().value();
  const std::string jwt = key.sign_jwt(Json{{"typ", "JWT"}}, Json{{"a", 1}}).value();
  CHECK(jwt.size() - jwt.rfind('.') - 1 == 86);  // 64 bytes
  CHECK(key.public_jwk().at("x").get<std::string>().size() == 43);
  CHECK_FALSE(SigningKey::from_pem("nonsense", "ES256").has_value());
  CHECK(random_token(16) != random_token(16));
}

}  // namespace
}  // namespace swarm::mcp
