#include "orchestrator/topology/encoder.h"

#include <utf8proc.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>

#include "engine/base/check.h"
#include "engine/base/utf8.h"

namespace swarm::topology {
namespace {

bool is_word_part(utf8proc_int32_t code_point) {
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return true;
    default: return false;
  }
}

std::string case_folded(std::string_view text) {
  const std::string clean = utf8_sanitize(text);
  struct Free {
    void operator()(utf8proc_uint8_t* p) const { std::free(p); }
  };
  utf8proc_uint8_t* raw = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(clean.data()),
      static_cast<utf8proc_ssize_t>(clean.size()), &raw,
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT |
                                     UTF8PROC_CASEFOLD | UTF8PROC_IGNORE));
  const std::unique_ptr<utf8proc_uint8_t, Free> owned(raw);
  SWARM_CHECK(size >= 0, size);  // only invalid UTF-8 and lack of memory can fail
  return {reinterpret_cast<const char*>(raw), static_cast<size_t>(size)};
}

double dot(const Embedding& a, const Embedding& b) {
  SWARM_CHECK(a.size() == b.size(), a.size(), b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

std::vector<std::string> lexical_words(std::string_view text) {
  const std::string folded = case_folded(text);
  std::vector<std::string> words;
  std::string word;
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(folded.data());
  auto left = static_cast<utf8proc_ssize_t>(folded.size());
  while (left > 0) {
    utf8proc_int32_t code_point = -1;
    const utf8proc_ssize_t length = utf8proc_iterate(at, left, &code_point);
    SWARM_CHECK(length > 0, length);
    if (is_word_part(code_point)) {
      word.append(reinterpret_cast<const char*>(at), static_cast<size_t>(length));
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
    at += length;
    left -= length;
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

std::vector<Embedding> LexicalEncoder::embed(std::span<const std::string> texts) const {
  std::vector<std::vector<std::string>> words;
  std::map<std::string, size_t> vocabulary;
  for (const std::string& text : texts) {
    words.push_back(lexical_words(text));
    for (const std::string& word : words.back()) vocabulary.emplace(word, 0);
  }
  size_t next = 0;
  for (auto& [word, index] : vocabulary) index = next++;
  std::vector<Embedding> vectors;
  for (const std::vector<std::string>& of_text : words) {
    Embedding counts(vocabulary.size(), 0.0);
    for (const std::string& word : of_text) counts[vocabulary.at(word)] += 1;
    vectors.push_back(std::move(counts));
  }
  return vectors;
}

std::span<const std::string> encoder_names() {
  static const std::vector<std::string> names{"lexical"};
  return names;
}

Result<std::unique_ptr<Encoder>> make_encoder(std::string_view name) {
  if (name == "lexical") return std::make_unique<LexicalEncoder>();
  return unsupported("expected encoder \"lexical\" (the only one of this build), found \"" +
                     std::string(name) + "\"");
}

double cosine(const Embedding& a, const Embedding& b) {
  const double aa = dot(a, a), bb = dot(b, b);
  if (aa == 0 || bb == 0) return std::numeric_limits<double>::quiet_NaN();
  // One square root of the product: sqrt(x * x) == x exactly, so equal vectors give exactly 1.
  return dot(a, b) / std::sqrt(aa * bb);
}

Embedding normalised(const Embedding& a) {
  const double length = std::sqrt(dot(a, a));
  Embedding out = a;
  if (length > 0)
    for (double& value : out) value /= length;
  return out;
}

ScoreMatrix score(const Encoder& encoder, std::span<const std::string> queries,
                  std::span<const std::string> keys) {
  SWARM_CHECK(queries.size() == keys.size(), queries.size(), keys.size());
  std::vector<std::string> texts(queries.begin(), queries.end());
  texts.insert(texts.end(), keys.begin(), keys.end());
  const std::vector<Embedding> vectors = encoder.embed(texts);
  const size_t agents = queries.size();
  ScoreMatrix scores(static_cast<int32_t>(agents));
  for (size_t i = 0; i < agents; ++i)
    for (size_t j = 0; j < agents; ++j)
      scores.set(static_cast<int32_t>(i), static_cast<int32_t>(j),
                 cosine(vectors[i], vectors[agents + j]));
  return scores;
}

}  // namespace swarm::topology
