// engine/text/detokenizer.h — Token ids to text while they arrive. Never hands out part of a UTF-8
// sequence: unfinished bytes wait for the next token; bytes that can never become valid come out as
// U+FFFD, at the latest at finish(). The concatenated output does not depend on how the ids were
// split over calls. One thread at a time; shares the tokenizer.
#pragma once

#include <memory>
#include <string>

#include "engine/text/tokenizer.h"

namespace swarm::engine::text {

enum class ControlTokens : bool { skip, show };

class Detokenizer {
 public:
  explicit Detokenizer(std::shared_ptr<const Tokenizer> tokenizer,
                       ControlTokens control = ControlTokens::skip);

  // The text that became complete with this token; may be empty.
  std::string feed(TokenId id);
  // What is still held back, as U+FFFD; the object can be used again afterwards.
  std::string finish();
  bool holds_back() const { return !pending_.empty(); }

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  ControlTokens control_;
  std::string pending_;  // at most 3 bytes between calls
};

}  // namespace swarm::engine::text
