#include <doctest/doctest.h>

#include <sstream>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/deadline.h"
#include "engine/base/error.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/base/rng.h"
#include "engine/base/units.h"
#include "engine/base/utf8.h"

using namespace swarm;

TEST_CASE("check: a failed check reports expression and values") {
  static std::string report;
  struct Thrown {};
  const ScopedCheckHandler handler([](const std::string& text) {
    report = text;
    throw Thrown{};
  });
  const auto fail = [] { SWARM_CHECK(1 == 2, "left", 1); };
  CHECK_THROWS_AS(fail(), Thrown);
  CHECK(report.find("1 == 2: left 1") != std::string::npos);
}

TEST_CASE("error: the caret stands under the column, tabs kept") {
  const Error error{ErrorKind::invalid_input, "expected a number, found \"x\"", {"a.yaml", 2, 4}};
  CHECK(render_with_caret(error, "one\n\tk: x\n", 1) ==
        "a.yaml:2:4: error: expected a number, found \"x\"\n    2 | \tk: x\n      | \t  ^");
}

TEST_CASE("error: the caret stands under what the terminal shows, whatever the script") {
  const auto drawn = [](const std::string& before, const std::string& key) {
    const Error error{ErrorKind::invalid_input, "x", {"a", 1, static_cast<int>(before.size()) + 1}};
    const std::string text =
        render_with_caret(error, before + key + ": 1", static_cast<int>(key.size()));
    return text.substr(text.rfind("| ") + 2);
  };
  CHECK(drawn("{a: abc, ", "turns") == "         ^~~~~");
  CHECK(drawn("{a: äöü, ", "türns") == "         ^~~~~");
  CHECK(drawn("{a: 日本, ", "turns") == "          ^~~~~");   // two cells each
  CHECK(drawn("{a: e\u0301, ", "語") == "       ^~");         // a combining accent takes none
  const Error far{ErrorKind::invalid_input, "x", {"a", 1, 6}};
  CHECK(render_with_caret(far, "ab", 1).ends_with("|      ^"));
}

TEST_CASE("error: did_you_mean suggests only near words") {
  const std::vector<std::string> keys{"model", "agents", "k_in"};
  CHECK(did_you_mean("modle", keys) == "model");
  CHECK(did_you_mean("agent", keys) == "agents");
  CHECK(did_you_mean("banana", keys).empty());
}

TEST_CASE("json: order is kept, duplicates and depth are refused, errors have line and column") {
  CHECK(dump_json_spaced(*parse_json(R"({"b":1,"a":[1,2.5,"é"]})")) ==
        R"({"b": 1, "a": [1, 2.5, "é"]})");
  const auto broken = parse_json("{\"a\": 1,\n \"b\": }", "x.json");
  REQUIRE(!broken);
  CHECK(broken.error().location.line == 2);
  CHECK(broken.error().location.column == 7);
  CHECK(!parse_json(R"({"a":1,"a":2})"));
  CHECK(!parse_json(std::string(200, '[') + std::string(200, ']')));
  CHECK(dump_json(Json("\xff")) == "\"\xef\xbf\xbd\"");
}

TEST_CASE("units: bytes and durations round-trip and refuse nonsense") {
  CHECK(*parse_bytes("8GiB") == 8_GiB);
  CHECK(*parse_bytes("1.5 MB") == 1500000);
  CHECK(!parse_bytes("8 gigs"));
  CHECK(!parse_bytes("-1"));
  CHECK(parse_duration("1.5s")->count() == 1500);
  CHECK(!parse_duration("30"));
  CHECK(!checked_mul(UINT64_MAX, 2));
}

TEST_CASE("utf8: sequences, unfinished tails and repair") {
  CHECK(utf8_sequence_length("\xe2\x82\xac") == 3);
  CHECK(utf8_sequence_length("\xe2\x82") == 0);
  CHECK(utf8_sequence_length("\xed\xa0\x80") == 0);  // surrogate
  CHECK(utf8_incomplete_tail("ab\xe2\x82") == 2);
  CHECK(utf8_incomplete_tail("ab\xe2\x82\xac") == 0);
  CHECK(utf8_incomplete_tail("\x82") == 0);
  CHECK(utf8_sanitize("a\xff" "b\xe2\x82") == "a\xef\xbf\xbd" "b\xef\xbf\xbd");
  for (uint32_t cp : {0x24u, 0xa2u, 0x20acu, 0x10348u}) {
    std::string text;
    utf8_append(text, cp);
    CHECK(utf8_is_valid(text));
  }
}

TEST_CASE("rng: the sequence is fixed for all platforms and splits are independent") {
  Rng a(7), b(7);
  CHECK(a.next() == b.next());
  CHECK(a.split("x").next() != b.split("y").next());
  for (int i = 0; i < 1000; ++i) CHECK(a.below(3) < 3);
}

TEST_CASE("log: one line per event, levels filter") {
  std::ostringstream out;
  Log log(out, LogLevel::info, Log::Format::json);
  log.debug("quiet");
  log.info("kv.evict", {{"pages", 3}, {"name", "a b"}});
  CHECK(out.str() == "{\"level\":\"info\",\"event\":\"kv.evict\",\"pages\":3,\"name\":\"a b\"}\n");
}

TEST_CASE("deadline: passes exactly at its time") {
  ManualClock clock;
  const Deadline deadline = Deadline::after(clock, std::chrono::seconds(1));
  CHECK(!deadline.passed(clock.now()));
  clock.advance(std::chrono::seconds(1));
  CHECK(deadline.passed(clock.now()));
  CHECK(Deadline::never().remaining(clock.now()) == std::chrono::nanoseconds::max());
}

TEST_CASE("json: a number that no double holds is told where it stands") {
  const Result<Json> huge = parse_json("{\"a\": \"1e999\",\n \"b\": [2, -1e400]}", "f.json");
  REQUIRE(huge.has_error());
  CHECK(huge.error().to_text() ==
        "f.json:2:11: error: invalid JSON: the number -1e400 is too large");
}
