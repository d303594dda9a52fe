#include "tests/engine/text/vocabularies.h"

#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <unordered_map>

#include "tests/support/support.h"

namespace swarm::test {
using engine::TokenId;
using engine::text::Merge;
using engine::text::Tokenizer;
using engine::text::TokenizerParts;
using engine::text::TokenType;
namespace {

void add_special_tokens(TokenizerParts& parts) {
  size_t index = 0;
  for (const std::string& name : added_tokens())
    parts.tokens.push_back({name, index++ < 14 ? TokenType::control : TokenType::user_defined});
}

std::string decode_base64(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    constexpr std::string_view alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t value = alphabet.find(c);
    if (value == std::string_view::npos) break;  // padding
    bits = (bits << 6) | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(static_cast<uint8_t>(bits >> count));
    }
  }
  return out;
}

// The two parts a token was merged from: its bytes, merged with all lower ranks.
Merge last_merge(const std::vector<std::string>& tokens,
                 const std::unordered_map<std::string_view, TokenId>& ranks, size_t rank) {
  const std::string_view whole = tokens[rank];
  std::vector<size_t> cuts;  // begin of each part, then the end
  for (size_t i = 0; i <= whole.size(); ++i) cuts.push_back(i);
  const auto rank_of = [&](size_t i) {
    const auto it = ranks.find(whole.substr(cuts[i], cuts[i + 2] - cuts[i]));
    return it == ranks.end() ? static_cast<TokenId>(rank) : it->second;
  };
  while (cuts.size() > 3) {
    size_t best = 0;
    for (size_t i = 1; i + 2 < cuts.size(); ++i)
      if (rank_of(i) < rank_of(best)) best = i;
    if (rank_of(best) >= static_cast<TokenId>(rank))
      throw std::runtime_error("token " + std::to_string(rank) + " is not made of two parts");
    cuts.erase(cuts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  return {ranks.at(whole.substr(0, cuts[1])), ranks.at(whole.substr(cuts[1])),
          static_cast<TokenId>(rank)};
}

std::shared_ptr<const Tokenizer> make(TokenizerParts parts) {
  auto made = Tokenizer::create(std::move(parts));
  if (!made) throw std::runtime_error(made.error().to_text());
  return *made;
}

}  // namespace

const std::vector<std::string>& added_tokens() {
  static const std::vector<std::string> names{
      "<|endoftext|>",      "<|im_start|>",     "<|im_end|>",      "<|object_ref_start|>",
      "<|object_ref_end|>", "<|box_start|>",    "<|box_end|>",     "<|quad_start|>",
      "<|quad_end|>",       "<|vision_start|>", "<|vision_end|>",  "<|vision_pad|>",
      "<|image_pad|>",      "<|video_pad|>",    "<tool_call>",     "</tool_call>",
      "<|fim_prefix|>",     "<|fim_middle|>",   "<|fim_suffix|>",  "<|fim_pad|>",
      "<|repo_name|>",      "<|file_sep|>",     "<tool_response>", "</tool_response>",
      "<think>",            "</think>"};
  return names;
}

TokenizerParts small_parts() {
  TokenizerParts parts;
  std::unordered_map<std::string, TokenId> ids;
  const auto add = [&](std::string bytes) {
    ids.emplace(bytes, static_cast<TokenId>(parts.tokens.size()));
    parts.tokens.push_back({std::move(bytes), TokenType::normal});
  };
  for (int byte = 0; byte < 256; ++byte) add(std::string(1, static_cast<char>(byte)));
  // Includes halves of UTF-8 sequences (é, 東) and pieces of markers, where mistakes would show.
  const std::vector<std::pair<std::string, std::string>> pairs{
      {"h", "e"},       {"l", "l"},           {"he", "ll"}, {"hell", "o"}, {" ", "w"},
      {"o", "r"},       {" w", "or"},         {"l", "d"},   {" wor", "ld"}, {"\xc3", "\xa9"},
      {"\xe6", "\x9d"}, {"\xe6\x9d", "\xb1"}, {" ", " "},   {"  ", "  "},  {"\n", "\n"},
      {"<", "|"},       {"|", ">"},           {"i", "m"},   {"e", "n"},    {"en", "d"},
      {" ", "t"},       {" t", "he"},         {"a", "a"},   {"aa", "aa"},  {"'", "s"}};
  for (const auto& [left, right] : pairs) {
    add(left + right);
    parts.merges.push_back({ids.at(left), ids.at(right), ids.at(left + right)});
  }
  add_special_tokens(parts);
  parts.tokens.push_back({"", TokenType::unused});
  parts.eos = static_cast<TokenId>(256 + pairs.size() + 2);
  return parts;
}

std::shared_ptr<const Tokenizer> small_tokenizer() { return make(small_parts()); }

std::shared_ptr<const Tokenizer> qwen_tokenizer() {
  static const std::shared_ptr<const Tokenizer> tokenizer = [] {
    const auto path = shared_data("qwen.tiktoken");
    if (!path) {
      std::cerr << "text: qwen.tiktoken is absent; tests with the real vocabulary did not run\n";
      return std::shared_ptr<const Tokenizer>();
    }
    std::vector<std::string> tokens;
    std::istringstream in(read_file(*path));
    for (std::string encoded, rank; in >> encoded >> rank;) {
      if (std::stoul(rank) != tokens.size()) throw std::runtime_error("ranks are not in order");
      tokens.push_back(decode_base64(encoded));
    }
    std::unordered_map<std::string_view, TokenId> ranks;
    for (size_t id = 0; id < tokens.size(); ++id)
      ranks.emplace(tokens[id], static_cast<TokenId>(id));
    TokenizerParts parts;
    for (size_t id = 0; id < tokens.size(); ++id)
      if (tokens[id].size() > 1) parts.merges.push_back(last_merge(tokens, ranks, id));
    for (const std::string& token : tokens) parts.tokens.push_back({token, TokenType::normal});
    add_special_tokens(parts);
    parts.eos = 151645;
    return make(std::move(parts));
  }();
  return tokenizer;
}

}  // namespace swarm::test
