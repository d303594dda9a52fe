// engine/chat_reader.h — Output tokens to text, reasoning and tool calls: detokenizer and reply
// parser in a row. Private to the facade.
#pragma once

#include <memory>

#include "engine/chat.h"
#include "engine/text/reply_parser.h"
#include "engine/text/tokenizer.h"

namespace swarm::engine {

std::unique_ptr<ChatReader> make_chat_reader(std::shared_ptr<const text::Tokenizer> tokenizer,
                                             text::ReplyOptions options);

}  // namespace swarm::engine
