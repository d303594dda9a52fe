#include "engine/chat_reader.h"

#include <utility>

#include "engine/text/detokenizer.h"

namespace swarm::engine {
namespace {

std::vector<ChatToolCall> to_chat(std::vector<text::ToolCall> calls) {
  std::vector<ChatToolCall> out;
  for (text::ToolCall& call : calls)
    out.push_back({.name = std::move(call.name), .arguments = std::move(call.arguments)});
  return out;
}

class Reader final : public ChatReader {
 public:
  Reader(std::shared_ptr<const text::Tokenizer> tokenizer, text::ReplyOptions options)
      : detokenizer_(std::move(tokenizer)), parser_(std::move(options)) {}

  ChatDelta feed(TokenId token) override {
    text::ReplyPart part = parser_.feed(detokenizer_.feed(token));
    return {.content = std::move(part.content), .reasoning = std::move(part.reasoning),
            .tool_calls = to_chat(std::move(part.calls))};
  }

  void cut() override { parser_.cut(); }

  ChatReply finish() override {
    parser_.feed(detokenizer_.finish());
    parser_.finish();
    const text::ReplyPart& reply = parser_.reply();
    return {.content = reply.content, .reasoning = reply.reasoning,
            .tool_calls = to_chat(reply.calls), .malformed_calls = reply.malformed};
  }

 private:
  text::Detokenizer detokenizer_;   // control tokens are not text
  text::ReplyParser parser_;
};

}  // namespace

std::unique_ptr<ChatReader> make_chat_reader(std::shared_ptr<const text::Tokenizer> tokenizer,
                                             text::ReplyOptions options) {
  return std::make_unique<Reader>(std::move(tokenizer), std::move(options));
}

}  // namespace swarm::engine
