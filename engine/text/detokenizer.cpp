#include "engine/text/detokenizer.h"

#include <utility>

#include "engine/base/utf8.h"

namespace swarm::engine::text {

Detokenizer::Detokenizer(std::shared_ptr<const Tokenizer> tokenizer, ControlTokens control)
    : tokenizer_(std::move(tokenizer)), control_(control) {}

std::string Detokenizer::feed(TokenId id) {
  if (control_ == ControlTokens::skip && tokenizer_->is_control(id)) return "";
  pending_ += tokenizer_->token_bytes(id);
  const size_t held = utf8_incomplete_tail(pending_);
  std::string out = utf8_sanitize(std::string_view(pending_).substr(0, pending_.size() - held));
  pending_.erase(0, pending_.size() - held);
  return out;
}

std::string Detokenizer::finish() { return utf8_sanitize(std::exchange(pending_, {})); }

}  // namespace swarm::engine::text
