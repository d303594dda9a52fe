// Reading a Tokenizer from the tokenizer.ggml.* keys of a GGUF file (reference/engine.md 5.1).
#include <algorithm>
#include <array>
#include <unordered_set>

#include "engine/base/utf8.h"
#include "engine/formats/gguf.h"
#include "engine/text/tokenizer.h"

namespace swarm::engine::text {
namespace {

using TextIndex = std::unordered_map<std::string_view, TokenId>;

// The printable stand-in of every byte in vocabulary texts: bytes 33-126, 161-172 and 174-255 stand
// for themselves, the others take U+0100, U+0101, ... in order.
class ByteAlphabet {
 public:
  ByteAlphabet() {
    uint32_t next = 0x100;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) ||
                             byte >= 174;
      std::string letter;
      utf8_append(letter, printable ? byte : next++);
      bytes_.emplace(std::move(letter), static_cast<char>(static_cast<uint8_t>(byte)));
    }
  }

  // nullopt if the text holds anything but letters of this alphabet.
  std::optional<std::string> to_bytes(std::string_view text) const {
    std::string out;
    while (!text.empty()) {
      const size_t length = std::max<size_t>(1, utf8_sequence_length(text));
      const auto it = bytes_.find(std::string(text.substr(0, length)));
      if (it == bytes_.end()) return std::nullopt;
      out += it->second;
      text.remove_prefix(length);
    }
    return out;
  }

 private:
  std::unordered_map<std::string, char> bytes_;
};

Result<void> expect_text(const formats::GgufFile& file, std::string_view key,
                         std::string_view want) {
  SWARM_TRY(const std::string_view found, file.text(key));
  if (found == want) return {};
  return unsupported(file.name() + ": expected " + std::string(key) + " \"" + std::string(want) +
                     "\", found \"" + std::string(found) + "\"");
}

Result<std::vector<std::string_view>> texts(const formats::GgufFile& file, std::string_view key) {
  SWARM_TRY(const std::span<const formats::GgufValue> values, file.array(key));
  std::vector<std::string_view> out;
  out.reserve(values.size());
  for (const formats::GgufValue& value : values) {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr)
      return invalid_input(file.name() + ": expected an array of strings in " + std::string(key));
    out.push_back(*text);
  }
  return out;
}

std::optional<int64_t> as_integer(const formats::GgufValue& value) {
  if (const auto* v = std::get_if<int32_t>(&value)) return *v;
  if (const auto* v = std::get_if<uint32_t>(&value)) return *v;
  if (const auto* v = std::get_if<int8_t>(&value)) return *v;
  if (const auto* v = std::get_if<uint8_t>(&value)) return *v;
  if (const auto* v = std::get_if<int16_t>(&value)) return *v;
  if (const auto* v = std::get_if<uint16_t>(&value)) return *v;
  if (const auto* v = std::get_if<int64_t>(&value)) return *v;
  return std::nullopt;
}

Result<std::vector<TokenType>> token_types(const formats::GgufFile& file, size_t count) {
  constexpr std::string_view key = "tokenizer.ggml.token_type";
  if (!file.has(key)) return std::vector<TokenType>(count, TokenType::normal);
  SWARM_TRY(const std::span<const formats::GgufValue> values, file.array(key));
  if (values.size() != count)
    return invalid_input(file.name() + ": expected " + std::to_string(count) + " values in " +
                         std::string(key) + ", found " + std::to_string(values.size()));
  std::vector<TokenType> out;
  for (const formats::GgufValue& value : values) {
    const auto number = as_integer(value);
    if (!number || *number < 1 || *number > 5)
      return unsupported(file.name() + ": expected token types 1 to 5 in " + std::string(key) +
                         ", found " + (number ? std::to_string(*number) : "another type"));
    out.push_back(static_cast<TokenType>(*number));
  }
  return out;
}

// Some converters mark every token normal. These names are part of the Qwen chat protocol.
bool is_protocol_marker(std::string_view text) {
  constexpr std::array<std::string_view, 6> visible = {
      "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"};
  if (std::find(visible.begin(), visible.end(), text) != visible.end()) return true;
  return text.size() > 4 && text.starts_with("<|") && text.ends_with("|>");
}

Result<std::vector<Merge>> read_merges(const formats::GgufFile& file, const TextIndex& index) {
  SWARM_TRY(const std::vector<std::string_view> lines, texts(file, "tokenizer.ggml.merges"));
  std::vector<Merge> merges;
  merges.reserve(lines.size());
  std::string joined;
  for (const std::string_view line : lines) {
    const size_t blank = line.find(' ', 1);
    const auto refuse = [&](std::string_view why) {
      return invalid_input(file.name() + ": tokenizer.ggml.merges[" +
                           std::to_string(merges.size()) + "] \"" + std::string(line) + "\" " +
                           std::string(why));
    };
    if (blank == std::string_view::npos) return refuse("is not two texts with a blank between");
    joined.assign(line.substr(0, blank)).append(line.substr(blank + 1));
    const auto a = index.find(line.substr(0, blank));
    const auto b = index.find(line.substr(blank + 1));
    const auto c = index.find(joined);
    if (a == index.end() || b == index.end() || c == index.end())
      return refuse("names a text that is not in the vocabulary");
    merges.push_back({a->second, b->second, c->second});
  }
  return merges;
}

Result<std::optional<TokenId>> optional_id(const formats::GgufFile& file, std::string_view key,
                                           size_t count) {
  if (!file.has(key)) return std::optional<TokenId>();
  SWARM_TRY(const uint64_t id, file.integer(key));
  if (id >= count)
    return invalid_input(file.name() + ": expected " + std::string(key) + " below " +
                         std::to_string(count) + ", found " + std::to_string(id));
  return std::optional<TokenId>(static_cast<TokenId>(id));
}

VocabularyEntry make_entry(std::string_view text, TokenType type, bool from_merge,
                           const ByteAlphabet& alphabet) {
  if (type == TokenType::unused) return {"", type};
  if (type != TokenType::normal) return {std::string(text), type};
  if (!from_merge && is_protocol_marker(text)) {
    const bool control = text.starts_with("<|");
    return {std::string(text), control ? TokenType::control : TokenType::user_defined};
  }
  if (auto bytes = alphabet.to_bytes(text)) return {*std::move(bytes), type};
  return {std::string(text), TokenType::unknown};  // No byte string can spell it: never formed.
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_gguf(const formats::GgufFile& file) {
  SWARM_TRY_VOID(expect_text(file, "tokenizer.ggml.model", "gpt2"));
  SWARM_TRY_VOID(expect_text(file, "tokenizer.ggml.pre", "qwen2"));
  SWARM_TRY(const std::vector<std::string_view> names, texts(file, "tokenizer.ggml.tokens"));
  const size_t count = names.size();
  SWARM_TRY(const std::vector<TokenType> types, token_types(file, count));

  TextIndex index;
  index.reserve(count);
  for (size_t id = 0; id < count; ++id)
    if (types[id] == TokenType::normal) index.emplace(names[id], static_cast<TokenId>(id));
  TokenizerParts parts;
  SWARM_TRY(parts.merges, read_merges(file, index));
  std::unordered_set<TokenId> merged;
  for (const Merge& merge : parts.merges) merged.insert(merge.joined);

  const ByteAlphabet alphabet;
  parts.tokens.reserve(count);
  for (size_t id = 0; id < count; ++id)
    parts.tokens.push_back(make_entry(names[id], types[id],
                                      merged.contains(static_cast<TokenId>(id)), alphabet));
  SWARM_TRY(parts.bos, optional_id(file, "tokenizer.ggml.bos_token_id", count));
  SWARM_TRY(parts.eos, optional_id(file, "tokenizer.ggml.eos_token_id", count));
  SWARM_TRY(parts.padding, optional_id(file, "tokenizer.ggml.padding_token_id", count));
  SWARM_TRY(const std::optional<TokenId> turn_end,
            optional_id(file, "tokenizer.ggml.eot_token_id", count));
  if (turn_end) parts.more_stops.push_back(*turn_end);
  if (file.has("tokenizer.ggml.add_bos_token")) {
    SWARM_TRY(parts.add_bos, file.boolean("tokenizer.ggml.add_bos_token"));
  }
  auto made = create(std::move(parts));
  if (!made) {
    Error error = std::move(made).error();
    error.message = file.name() + ": " + error.message;
    return error;
  }
  return made;
}

}  // namespace swarm::engine::text
