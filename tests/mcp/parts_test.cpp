#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "engine/base/async/process.h"
#include "mcp/message/jsonrpc.h"
#include "mcp/message/line_reader.h"
#include "mcp/client/result.h"

namespace swarm::mcp {
namespace {

TEST_CASE("line reader: the same lines for every way of cutting the stream") {
  const std::string stream =
      "\xEF\xBB\xBF{\"a\":1}\r\n\n\xE2\x82\xAC euro\n0123456789ABCDEF\nlast\nunfinished";
  const std::vector<std::string> want{"{\"a\":1}", "", "\xE2\x82\xAC euro", "last"};
  for (size_t piece = 1; piece <= stream.size(); ++piece) {
    CAPTURE(piece);
    LineReader reader(12);
    std::vector<std::string> got;
    for (size_t at = 0; at < stream.size(); at += piece)
      reader.feed(std::string_view(stream).substr(at, piece),
                  [&](std::string_view line) { got.emplace_back(line); });
    CHECK(got == want);  // the line of 16 bytes is dropped
    CHECK(reader.dropped() == 1);
  }
}

TEST_CASE("jsonrpc: messages as they are sent") {
  CHECK(encode_request(3, "tools/list", Json::object()) ==
        R"({"jsonrpc":"2.0","id":3,"method":"tools/list","params":{}})");
  CHECK(encode_notification("notifications/initialized", Json()) ==
        R"({"jsonrpc":"2.0","method":"notifications/initialized"})");
  CHECK(encode_result("r1", Json::object()) == R"({"jsonrpc":"2.0","id":"r1","result":{}})");
  CHECK(encode_error(1, -32601, "no") ==
        R"({"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}})");
}

TEST_CASE("jsonrpc: what a line may be") {
  const auto kinds = [](std::string_view line) {
    std::string out;
    for (const Incoming& one : decode_line(line, 1000))
      out += "qnre"[static_cast<size_t>(one.kind)];
    return out;
  };
  CHECK(kinds(R"({"jsonrpc":"2.0","id":1,"method":"ping"})") == "q");
  CHECK(kinds(R"({"jsonrpc":"2.0","method":"notifications/x"})") == "n");
  CHECK(kinds(R"({"id":1,"result":{}})") == "r");
  CHECK(kinds(R"({"id":1,"result":null})") == "r");
  CHECK(kinds(R"({"id":null,"error":{"code":1}})") == "e");
  CHECK(kinds(R"([{"id":1,"result":{}},7,{"id":2,"error":{}}])") == "re");
  CHECK(kinds("Server listening on port 3000").empty());
  CHECK(kinds("{}").empty());
  CHECK(kinds("\"text\"").empty());
  CHECK(kinds("{\"id\":1,\"result\":{\"text\":\"caf\xE9\"}}") == "r");  // invalid UTF-8
  CHECK(kinds("{\"id\":1,\"result\":\"" + std::string(2000, 'x') + "\"}").empty());
  CHECK(kinds(std::string(500, '[')).empty());
}

TEST_CASE("jsonrpc: ids come back in several costumes") {
  CHECK(id_number(7) == 7);
  CHECK(id_number(7.0) == 7);
  CHECK(id_number("7") == 7);
  CHECK_FALSE(id_number("7x").has_value());
  CHECK_FALSE(id_number(7.5).has_value());
  CHECK_FALSE(id_number(Json()).has_value());
  CHECK(error_text(Json{{"code", -1}, {"message", "m"}}) == "m (code -1)");
  CHECK(error_text(Json::object()) == "unknown error");
}

std::string text_of(const char* result) {
  return tool_result(parse_json(result).value()).text;
}

TEST_CASE("tool result: text is joined, media become notes, structure is sent once") {
  CHECK(text_of(R"({"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]})") ==
        "a\nb");
  CHECK(text_of(R"({"content":[]})").empty());
  CHECK(text_of(R"({"content":[{"type":"text","text":"{\"b\": 2, \"a\": 1}"}],
                    "structuredContent":{"a":1,"b":2}})") == R"({"b": 2, "a": 1})");
  CHECK(text_of(R"({"content":[{"type":"text","text":"sum is 3"}],
                    "structuredContent":{"sum":3}})") == "sum is 3\n{\"sum\":3}");
  CHECK(text_of(R"({"content":[{"type":"text","text":"x\n"}],
                    "structuredContent":{"content":"x\n"}})") == "x\n");
  CHECK(text_of(R"({"content":[{"type":"text","text":"[1]"}],
                    "structuredContent":{"list":[1]}})") == "[1]");
  CHECK(text_of(R"({"content":[{"type":"text","text":"[1]"}],
                    "structuredContent":{"list":[1],"more":2}})") ==
        "[1]\n{\"list\":[1],\"more\":2}");
  CHECK(text_of(R"({"structuredContent":{"sum":3}})") == "{\"sum\":3}");
  CHECK(text_of(R"({"content":[{"type":"image","mimeType":"image/png","data":"QUJDRA=="}]})") ==
        "[image, image/png, 4 bytes, not shown]");
  CHECK(text_of(R"({"content":[{"type":"resource","resource":{"uri":"f:a","text":"inside"}}]})") ==
        "inside");
  CHECK(text_of(R"({"content":[{"type":"resource","resource":{"uri":"f:a","blob":"QUJD"}}]})") ==
        "[resource f:a, 3 bytes, not shown]");
  CHECK(text_of(R"({"content":[{"type":"resource_link","uri":"f:a","name":"A"}]})") ==
        "[resource link \"A\" f:a]");
  CHECK(text_of(R"({"content":[{"type":"text","text":"for both","annotations":{"audience":["user",
                    "assistant"]}},{"type":"text","text":"for people","annotations":{"audience":
                    ["user"]}},{"type":"text","text":"odd","annotations":7}]})") ==
        "for both\nodd");
  CHECK(text_of(R"({"content":[{"type":"hologram","data":"x"}, 7]})") ==
        "[content of type \"hologram\", not shown]\n[unreadable content]");
  CHECK(tool_result(Json{{"isError", true}}).is_error);
  CHECK(tool_result(Json(7)).is_error);
}

TEST_CASE("public names: readable, at most 64, stable, independent of order") {
  const auto names = public_names("shop", {"price", "a.b", "a/b", "a_b", "x y"});
  CHECK(names.at("price") == "shop__price");
  CHECK(names.at("x y") == "shop__x_y");
  CHECK(names.at("a_b") == "shop__a_b");
  CHECK(names.at("a.b").rfind("shop__a_b_", 0) == 0);
  CHECK(names.at("a.b") != names.at("a/b"));
  CHECK(public_names("shop", {"x y", "a_b", "a/b", "a.b", "price"}) == names);
  const std::string longer(100, 'l');
  const auto cut = public_names("shop", {longer + "1", longer + "2"});
  CHECK(cut.at(longer + "1").size() == 64);
  CHECK(cut.at(longer + "1") != cut.at(longer + "2"));
  CHECK(public_names("other", {longer}).at(longer) != public_names("shop", {longer}).at(longer));
}

TEST_CASE("process: programs are found in the given PATH, errors say where was looked") {
  CHECK(find_program("sh", "/nonexistent:/bin", "").value() == "/bin/sh");
  const auto missing = find_program("no-such-program", "/bin:/usr/bin", "");
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().kind == ErrorKind::environment);
  CHECK(missing.error().message ==
        "program \"no-such-program\" was not found; PATH is \"/bin:/usr/bin\"; install it, give "
        "its full path, or set PATH in env");
  CHECK_FALSE(find_program("./nothing", "", "").has_value());
  CHECK_FALSE(find_program("", "/bin", "").has_value());
  CHECK_FALSE(Process::spawn({.command = {"sh"}, .env = {}, .cwd = "/no/such"}).has_value());
}

}  // namespace
}  // namespace swarm::mcp
