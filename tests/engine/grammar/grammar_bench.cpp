// What a mask costs with the published Qwen vocabulary (151,643 tokens): compile time of twenty
// tools, then every position of a typical tool call twice, with empty caches and with warm ones.
// Prints one line per question; absolute times belong to the machine. Not a test.
#include <algorithm>
#include <array>
#include <ctime>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <unordered_map>

#include "engine/base/json.h"
#include "engine/grammar/grammar.h"
#include "tests/support/support.h"

namespace swarm::test {
namespace {

namespace grammar = engine::grammar;
using engine::TokenId;

std::string decode_base64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) break;
    bits = (bits << 6 | static_cast<uint32_t>(digit)) & 0xFFFFFF;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count & 0xFF);
    }
  }
  return out;
}

grammar::Vocabulary read_vocabulary(const std::filesystem::path& path) {
  grammar::Vocabulary vocabulary;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    vocabulary.bytes.push_back(decode_base64(line.substr(0, line.find(' '))));
  }
  vocabulary.special.assign(vocabulary.bytes.size(), false);
  for (int i = 0; i < 26; ++i) {
    vocabulary.bytes.push_back("<special " + std::to_string(i) + ">");
    vocabulary.special.push_back(true);
  }
  vocabulary.stop = {static_cast<TokenId>(vocabulary.bytes.size()) - 1};
  return vocabulary;
}

// Longest token first; close enough to the canonical tokens for timing.
class LongestFirst : public grammar::TextEncoder {
 public:
  explicit LongestFirst(const grammar::Vocabulary& vocabulary) {
    for (size_t id = 0; id < vocabulary.bytes.size(); ++id) {
      if (!vocabulary.special[id]) ids_[vocabulary.bytes[id]] = static_cast<TokenId>(id);
    }
  }
  std::vector<TokenId> encode(std::string_view text) const override {
    std::vector<TokenId> tokens;
    while (!text.empty()) {
      size_t length = std::min<size_t>(text.size(), 32);
      while (!ids_.contains(std::string(text.substr(0, length)))) --length;
      tokens.push_back(ids_.at(std::string(text.substr(0, length))));
      text.remove_prefix(length);
    }
    return tokens;
  }

 private:
  std::unordered_map<std::string, TokenId> ids_;
};

// Time on the processor, which other programs on a busy machine stretch less than the clock.
double processor_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

template <class Work>
double microseconds(Work work) {
  const double begin = processor_us();
  work();
  return processor_us() - begin;
}

void print(const std::string& what, std::vector<double> times) {
  std::sort(times.begin(), times.end());
  const auto at = [&](double q) {
    return times[static_cast<size_t>(q * static_cast<double>(times.size() - 1))];
  };
  std::cout << std::left << std::setw(34) << what << std::right << std::fixed
            << std::setprecision(1) << " median " << std::setw(9) << at(0.5) << " us  p90 "
            << std::setw(9) << at(0.9) << " us  max " << std::setw(9) << at(1.0) << " us  n "
            << times.size() << "\n";
}

grammar::TurnSpec twenty_tools(TokenId begin) {
  grammar::TurnSpec spec;
  const Json schema = Json::parse(R"({"type": "object", "properties": {
    "path": {"type": "string", "description": "where"}, "limit": {"type": "integer", "minimum": 1,
    "maximum": 5000}, "mode": {"enum": ["fast", "full", "dry"]}, "tags": {"type": "array",
    "items": {"type": "string", "maxLength": 40}}, "filter": {"type": "object", "properties":
    {"name": {"type": "string"}, "size": {"type": "number"}}, "additionalProperties": true},
    "recursive": {"type": "boolean"}, "id": {"type": "string", "pattern": "^[a-z]{2}-[0-9]{4}$"}},
    "required": ["path"]})");
  for (int i = 0; i < 20; ++i) {
    Json own = schema;
    own["properties"]["option_" + std::to_string(i)] = {{"type", "string"}, {"maxLength", 10 + i}};
    spec.tools.push_back({"tool_" + std::to_string(i), own});
  }
  spec.tool_choice = grammar::ToolChoice::automatic;
  spec.tool_call_begin = begin;
  spec.tool_call_end = begin + 1;
  return spec;
}

int run() {
  const auto path = shared_data("qwen.tiktoken");
  if (!path) {
    std::cout << "the vocabulary lies beside the repository and is not here\n";
    return 0;
  }
  const grammar::Vocabulary vocabulary = read_vocabulary(*path);
  const size_t words = (vocabulary.bytes.size() + 31) / 32;
  const auto begin = static_cast<TokenId>(vocabulary.bytes.size()) - 26;
  const LongestFirst encoder(vocabulary);
  std::optional<grammar::GrammarCompiler> compiler;
  print("token trie", {microseconds([&] { compiler.emplace(vocabulary, encoder); })});
  const grammar::TurnSpec spec = twenty_tools(begin);
  std::shared_ptr<const grammar::Grammar> compiled;
  print("compile 20 tools", {microseconds([&] { compiled = compiler->compile(spec).value(); })});
  print("compile 20 tools again",
        {microseconds([&] { compiled = compiler->compile(spec).value(); })});

  const std::string call =
      "\n{\"name\": \"tool_7\", \"arguments\": {\"path\": \"/srv/data/reports and notes\", "
      "\"limit\": "
      "120, \"mode\": \"full\", \"tags\": [\"alpha\", \"beta gamma\"], \"filter\": {\"name\": "
      "\"annual "
      "report\", \"size\": 12.5, \"owner\": {\"first name\": \"Ada\", \"ids\": [1, 2, 3]}}, "
      "\"recursive\": true, \"id\": \"ab-1234\"}}\n";
  std::vector<TokenId> tokens{begin};
  for (const TokenId id : encoder.encode(call)) tokens.push_back(id);
  std::vector<uint32_t> bits(words);
  for (const char* pass : {"cold", "warm", "warm again"}) {
    std::vector<double> masks;
    std::vector<double> accepts;
    std::vector<double> forced;
    std::vector<double> completions;
    grammar::Matcher matcher(compiled);
    std::string done;
    for (const TokenId token : tokens) {
      masks.push_back(microseconds([&] { matcher.fill_mask(bits); }));
      if (std::getenv("SWARM_BENCH_POSITIONS") != nullptr) {
        std::cout << std::setw(9) << masks.back() << "  "
                  << vocabulary.bytes[static_cast<size_t>(token)] << "\n";
      }
      forced.push_back(microseconds([&] { static_cast<void>(matcher.forced()); }));
      completions.push_back(microseconds([&] { static_cast<void>(matcher.completion()); }));
      bool accepted = false;
      accepts.push_back(microseconds([&] { accepted = matcher.accept(token); }));
      if (!accepted) {
        std::cout << "refused: " << vocabulary.bytes[static_cast<size_t>(token)] << "\n";
        return 1;
      }
    }
    print(std::string("mask, ") + pass, masks);
    print(std::string("forced, ") + pass, forced);
    print(std::string("accept, ") + pass, accepts);
    print(std::string("completion, ") + pass, completions);
  }
  return 0;
}

}  // namespace
}  // namespace swarm::test

int main() { return swarm::test::run(); }
