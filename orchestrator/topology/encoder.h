// orchestrator/topology/encoder.h — Text to vectors, vectors to the score matrix of a round.
// An Encoder is immutable and thread-safe. All texts of a round are embedded in one call.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "orchestrator/topology/routing.h"

namespace swarm::topology {

using Embedding = std::vector<double>;  // not normalised; empty text = all zeros

class Encoder {
 public:
  virtual ~Encoder() = default;
  virtual std::string_view name() const = 0;
  // One vector per text, all of one length. Vectors of different calls need not be comparable.
  virtual std::vector<Embedding> embed(std::span<const std::string> texts) const = 0;
};

// Bag of words over the vocabulary of the call: exact counts, no hashing, so that equal texts score
// exactly 1 and texts without a common word exactly 0. Words: maximal runs of Unicode letters,
// marks and digits after NFKC case folding.
class LexicalEncoder final : public Encoder {
 public:
  std::string_view name() const override { return "lexical"; }
  std::vector<Embedding> embed(std::span<const std::string> texts) const override;
};

std::vector<std::string> lexical_words(std::string_view text);

// Encoders of this build by name.
std::span<const std::string> encoder_names();
Result<std::unique_ptr<Encoder>> make_encoder(std::string_view name);

// <a, b> / (|a| |b|); exactly 1 for equal vectors; NaN when either is zero.
double cosine(const Embedding& a, const Embedding& b);

// a / |a|; zeros stay zeros.
Embedding normalised(const Embedding& a);

// scores.at(i, j) = cosine(queries[i], keys[j]); NaN where either text has no words.
ScoreMatrix score(const Encoder& encoder, std::span<const std::string> queries,
                  std::span<const std::string> keys);

}  // namespace swarm::topology
