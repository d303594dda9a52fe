// What strangers send: event streams, lines, JSON-RPC messages and their dispatch, headers, HTTP
// responses, lists of servers.
//   fuzz_mcp [AMOUNT] [TARGET]   replays tests/fuzz/corpus/mcp/TARGET, then seeded mutations of
//                                each file: AMOUNT rounds (default 200), or "1800s" of CPU time for
//                                each target. A broken promise aborts; with FUZZ_TRACE set the
//                                input is named by file and round before it is fed.
// With SWARM_FUZZ_ENTRY_ONLY (preset fuzz, `./dev fuzz`) libFuzzer finds the inputs by what code
// they reach; the variable FUZZ_TARGET names the target. Every fixed finding adds its file.
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "engine/base/async/run.h"
#include "engine/base/check.h"
#include "engine/base/rng.h"
#include "mcp/auth/challenge.h"
#include "mcp/client/result.h"
#include "mcp/client/skills.h"
#include "mcp/import.h"
#include "mcp/message/header_value.h"
#include "mcp/message/jsonrpc.h"
#include "mcp/message/line_reader.h"
#include "mcp/message/sse.h"
#include "mcp/server/service.h"
#include "mcp/transport/http_parser.h"
#include "tests/engine/formats/damage.h"

namespace {

using namespace swarm;
using namespace swarm::mcp;

constexpr size_t kMessageMax = 4096;

// Calls `feed` with pieces of `bytes`, cut where `seed` says; seed 0 = in one piece.
template <class Feed>
void in_pieces(std::string_view bytes, uint64_t seed, Feed feed) {
  Rng rng(seed);
  while (!bytes.empty()) {
    const size_t size = seed == 0 ? bytes.size() : std::min(bytes.size(), 1 + rng.below(7));
    feed(bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
}

// ---- Streams: how the bytes are cut makes no difference.

std::string events_of(std::string_view bytes, uint64_t seed) {
  SseParser parser(kMessageMax);
  std::string out;
  in_pieces(bytes, seed, [&](std::string_view piece) {
    parser.feed(piece, [&](const SseEvent& event) {
      SWARM_CHECK(event.data.size() <= kMessageMax);
      out += event.type + "\x01" + event.data + "\x02";
    });
  });
  return out + parser.last_id().value_or("\x03") + std::to_string(parser.dropped());
}

void feed_sse(std::string_view bytes) {
  SWARM_CHECK(events_of(bytes, 0) == events_of(bytes, 1 + hash_text(bytes)));
}

std::string lines_of(std::string_view bytes, uint64_t seed) {
  LineReader reader(kMessageMax);
  std::string out;
  in_pieces(bytes, seed, [&](std::string_view piece) {
    reader.feed(piece, [&](std::string_view line) {
      SWARM_CHECK(line.size() <= kMessageMax && line.find('\n') == std::string_view::npos);
      out += std::string(line) + "\n";
    });
  });
  return out + std::to_string(reader.dropped());
}

void feed_lines(std::string_view bytes) {
  SWARM_CHECK(lines_of(bytes, 0) == lines_of(bytes, 1 + hash_text(bytes)));
}

std::string response_of(std::string_view bytes, uint64_t seed) {
  ResponseReader reader;
  std::string out;
  bool good = true;
  in_pieces(bytes, seed, [&](std::string_view piece) {
    if (!good || reader.complete()) return;
    good = static_cast<bool>(reader.feed(piece));
    if (good) out += reader.take_body();
  });
  if (!good) return "refused";
  if (!reader.complete()) good = static_cast<bool>(reader.end_of_stream());
  if (!good || !reader.head_complete()) return "refused";
  out += reader.take_body();
  return std::to_string(reader.head().status) + reader.head().content_type() + "\n" + out;
}

std::string request_of(std::string_view bytes, uint64_t seed) {
  HttpParser<true> parser;
  std::string rest;
  bool good = true;
  in_pieces(bytes, seed, [&](std::string_view piece) {
    if (!good || parser.is_done()) return;
    rest += piece;
    good = !parser.consume(rest);
  });
  if (!good || !parser.is_done()) return "refused";
  return parser.method + " " + parser.target + " " + std::to_string(parser.headers.size()) + "\n" +
         parser.body;
}

void feed_http(std::string_view bytes) {
  SWARM_CHECK(response_of(bytes, 0) == response_of(bytes, 1 + hash_text(bytes)));
  SWARM_CHECK(request_of(bytes, 0) == request_of(bytes, 1 + hash_text(bytes)));
}

// ---- Messages.

class OneAnswer final : public Reply {
 public:
  void send(std::string message) override { SWARM_CHECK(parse_json(message)); }
  void finish(std::string message, int) override {
    SWARM_CHECK(parse_json(message));
    ++finished;
    stop().close();
  }
  int finished = 0;
};

Served offers() {
  Served served;
  served.name = "fuzz";
  served.version = "1";
  Json definition = parse_json(R"({"name": "t", "inputSchema": {"type": "object", "properties":
      {"a": {"type": "integer"}}, "required": ["a"]}})").value();
  served.tools.push_back({std::move(definition), [](Json, ServedCall&) -> Async<Json> {
                            Json out = Json::object();
                            out["content"] = Json::array();
                            co_return out;
                          }});
  served.prompts.push_back(
      {parse_json(R"({"name": "p", "arguments": [{"name": "x", "required": true}]})").value(),
       [](Json, ServedCall&) -> Async<Json> { co_return Json::object(); }});
  served.resources.push_back({parse_json(R"({"uri": "fuzz://a", "name": "a"})").value(),
                              [](std::string) -> Async<Json> { co_return Json::array(); }});
  served.complete = [](const Json&, const std::string&, const std::string&) {
    return std::vector<std::string>{"x"};
  };
  return served;
}

// One request to our server: it is answered exactly once.
void dispatch(Service& service, const Incoming& message, bool modern) {
  const auto reply = std::make_shared<OneAnswer>();
  RequestContext context;
  context.id = message.id;
  context.reply = reply;
  context.session = std::make_shared<LegacySession>();
  try {
    if (modern) service.read_meta(message.payload, context);
  } catch (const ErrorException&) {
    return;
  }
  if (message.method == "subscriptions/listen") reply->stop().close();  // it would wait
  run_root(service.answer(message, std::move(context)));
  SWARM_CHECK(reply->finished == 1);
}

void feed_rpc(std::string_view bytes) {
  static const Served kServed = offers();
  static std::ostringstream discarded;
  static Log log(discarded, LogLevel::error);
  static Service service(kServed, {}, log);
  LegacySession session;
  for (const Incoming& message : decode_line(bytes, size_t{1} << 16)) {
    static_cast<void>(id_number(message.id));
    static_cast<void>(error_text(message.payload));
    static_cast<void>(tool_result(message.payload));
    static_cast<void>(effect_of(message.payload));
    SWARM_CHECK(decode_line(encode_result(message.id, message.payload), size_t{1} << 20).size() <=
                1);
    if (message.kind == Incoming::Kind::notification) service.notice(message, session);
    if (message.kind == Incoming::Kind::request) {
      dispatch(service, message, false);
      dispatch(service, message, true);
      if (message.method == "initialize")
        static_cast<void>(service.greet(message.payload, session));
    } else {
      service.settle(message, session);
    }
  }
}

// ---- Headers and files.

void feed_headers(std::string_view bytes) {
  static_cast<void>(parse_challenges(bytes));
  static_cast<void>(bearer_challenge({{"WWW-Authenticate", std::string(bytes)}}));
  static_cast<void>(decode_header_value(bytes));
  const auto there_and_back = decode_header_value(encode_header_value(bytes));
  SWARM_CHECK(there_and_back && *there_and_back == bytes);
  SWARM_CHECK(base64_decode(base64_encode(bytes)) == std::string(bytes));
  static_cast<void>(parse_frontmatter(std::string(bytes)));
  static_cast<void>(parse_url(bytes));
  const auto schema = parse_json(bytes);
  if (!schema) return;
  if (const auto params = header_params(*schema))
    for (const HeaderParam& param : *params) static_cast<void>(header_argument(param, *schema));
}

void check_servers(const Result<std::vector<ImportedServer>>& servers, const Variable& variable) {
  if (!servers) return;
  std::set<std::string> names;
  for (const ImportedServer& server : *servers) {
    SWARM_CHECK(names.insert(server.name).second);
    SWARM_CHECK(fingerprint(server) == fingerprint(server));
    static_cast<void>(what_it_runs(server));
    const auto config = resolve_server(server, variable);
    SWARM_CHECK(!config || server.problem.empty());
    SWARM_CHECK(!config || config->command.empty() != config->url.empty());
  }
}

void feed_config(std::string_view bytes) {
  SWARM_CHECK(without_comments(bytes).size() == bytes.size());
  static_cast<void>(canonical_variables(std::string(bytes)));
  const auto variable = [](const std::string& name) {
    return name.size() % 2 == 0 ? std::optional<std::string>("${" + name + "}") : std::nullopt;
  };
  static_cast<void>(expand_variables(bytes, variable));
  check_servers(import_servers(bytes, "fuzz"), variable);
  check_servers(import_toml(bytes, "fuzz"), variable);
}

struct Target {
  const char* name;
  void (*feed)(std::string_view);
};
constexpr Target kTargets[] = {{"sse", feed_sse},         {"lines", feed_lines},
                               {"rpc", feed_rpc},         {"headers", feed_headers},
                               {"http", feed_http},       {"config", feed_config}};

}  // namespace

#ifdef SWARM_FUZZ_ENTRY_ONLY
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Target* const kTarget = [] {
    const char* name = std::getenv("FUZZ_TARGET");
    const auto* found = std::find_if(
        std::begin(kTargets), std::end(kTargets), [&](const Target& target) {
          return name != nullptr && std::string_view(name) == target.name;
        });
    SWARM_CHECK(found != std::end(kTargets));
    return found;
  }();
  kTarget->feed({reinterpret_cast<const char*>(data), size});
  return 0;
}
#else
namespace {

// Damage, and words that the formats are made of.
std::string mutated(const std::string& whole, Rng& rng) {
  static const std::vector<std::string> kWords{
      "\n", "\r", "\r\n\r\n", "data:", "id:", "retry:", "event:", "\"", "{", "}", "[", "]", ",",
      ":", "null", "-1", "1e999", "99999999999999999999", "\\u0000", "\xEF\xBB\xBF", "\xFF", "//",
      "/*", "*/", "${", "${env:", ":-", "{{", "}}", "=?base64?", "?=", "Bearer ", "chunked",
      "\"_meta\":", "\"method\":", "\"id\":", "\"command\":", "\"url\":", "0\r\n\r\n"};
  const auto view = std::as_bytes(std::span(whole));
  test::Bytes bytes(view.begin(), view.end());
  std::string out = whole;
  for (uint64_t hits = 1 + rng.below(4); hits > 0; --hits) {
    if (rng.below(2) == 0 && !out.empty()) {
      const auto now = std::as_bytes(std::span(out));
      bytes.assign(now.begin(), now.end());
      test::damage(bytes, rng);
      out.clear();
      for (const std::byte byte : bytes) out += static_cast<char>(byte);
    } else {
      const std::string& word = kWords[rng.below(kWords.size())];
      out.insert(rng.below(out.size() + 1), word);
    }
  }
  return out;
}

struct Sample {
  std::string name, bytes;
};

// The corpus of a target, in a fixed order, each file fed once as it is.
std::vector<Sample> replay(const Target& target) {
  std::set<std::filesystem::path> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string("tests/fuzz/corpus/mcp/") + target.name))
    paths.insert(entry.path());
  std::vector<Sample> out;
  for (const auto& path : paths) {
    std::ifstream in(path, std::ios::binary);
    out.push_back({path.filename().string(), {std::istreambuf_iterator<char>(in), {}}});
    std::clog << path.string() << std::endl;
    target.feed(out.back().bytes);
  }
  return out;
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace

int main(int argc, char** argv) {
  const std::string amount = argc > 1 ? argv[1] : "200";
  const std::string wanted = argc > 2 ? argv[2] : "";
  const bool timed = amount.ends_with("s");
  const uint64_t number = std::strtoull(amount.c_str(), nullptr, 10);
  uint64_t all = 0;
  for (const Target& target : kTargets) {
    if (!wanted.empty() && wanted != target.name) continue;
    const std::vector<Sample> corpus = replay(target);
    if (corpus.empty()) {
      std::cerr << "no corpus for " << target.name << "\n";
      return 1;
    }
    const double begun = cpu_seconds();
    uint64_t fed = 0;
    const auto enough = [&](uint64_t round) {
      return timed ? cpu_seconds() - begun >= static_cast<double>(number) : round >= number;
    };
    for (uint64_t round = 0; !enough(round); ++round)
      for (const Sample& sample : corpus) {
        Rng rng(mix_seed(hash_text(sample.name), round));
        const std::string bytes = mutated(sample.bytes, rng);
        if (std::getenv("FUZZ_TRACE") != nullptr)
          std::clog << sample.name << " round " << round << std::endl;
        target.feed(bytes);
        ++fed;
      }
    std::cout << target.name << ": " << corpus.size() << " files, " << fed << " mutations, "
              << cpu_seconds() - begun << " s of CPU: every promise held" << std::endl;
    all += corpus.size();
  }
  return all == 0 ? 1 : 0;
}
#endif
