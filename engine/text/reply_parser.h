// engine/text/reply_parser.h — Splits what a model says into reasoning, content and tool calls as
// it arrives. Text that could begin a marker, and blanks that a marker would swallow, are held back
// until that is decided; the sum of all parts does not depend on how the input was cut. Nothing is
// dropped: a call that does not parse is reported with its raw text.
// One object per reply, one thread at a time. Rules: reference/engine.md sections 10 to 12.
//   reasoning   before </think>, without newlines at its ends; markers inside mean nothing
//   content     everything outside calls, without blanks directly before, between and after calls
//   calls       see tool_call_format.h; the last </tool_call> may be missing; with coder_xml the
//               opening <tool_call> may be missing too
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/text/tool_call_format.h"

namespace swarm::engine::text {

struct ReplyOptions {
  CallStyle style = CallStyle::json;
  bool reads_calls = true;     // false: markers of calls are content
  bool opens_thinking = false;  // the prompt ended with <think>
  std::vector<ToolSchema> tools = {};
};

// A part of a reply, or all of it.
struct ReplyPart {
  std::string content;
  std::string reasoning;
  std::vector<ToolCall> calls;
  std::vector<std::string> malformed;  // raw text, markers included

  bool operator==(const ReplyPart&) const = default;
};

class ReplyParser {
 public:
  explicit ReplyParser(ReplyOptions options);

  // Text without end-of-turn tokens; returns what became certain.
  ReplyPart feed(std::string_view text);
  // The writer was cut off here; what is fed from now on is somebody else's end of the text. It is
  // content and reasoning, but no call: one that is open is malformed, with the text it has here
  // (unless that parses), one that begins later is left out.
  void cut();
  // The reply has ended; returns the rest. No feed() afterwards.
  ReplyPart finish();
  // Everything so far.
  const ReplyPart& reply() const { return whole_; }
  bool is_thinking() const { return state_ == State::reasoning; }

 private:
  enum class State : uint8_t { start, reasoning, after_reasoning, content, call, ended };
  enum class Body : uint8_t { undecided, json, xml, other };
  enum class Rest : uint8_t { reply, without_calls, nothing };  // how what follows is read

  void advance(bool final);
  // One step of the current state; false when it needs more text.
  bool step_start(bool final);
  bool step_reasoning(bool final);
  bool step_after_reasoning();
  bool step_content(bool final);
  bool step_call(bool final);
  bool decide_body(bool final);
  // Offset where the call ends and how many bytes of its terminator belong to it.
  struct End {
    size_t at = std::string::npos;
    size_t terminator = 0;
  };
  End find_call_end(bool final);
  End scan_xml(bool final);
  End scan_json(bool final);
  End bare_call_end(size_t after_function, bool final) const;
  void begin_call(bool bare);
  void end_call(End end);
  bool end_unterminated_call();
  void take_content(size_t count);

  ReplyOptions options_;
  State state_;
  std::string pending_;        // not yet decided
  ReplyPart part_;             // certain, not yet returned
  ReplyPart whole_;
  bool reasoning_begun_ = false;   // a character that is not a newline was seen
  bool after_call_ = false;        // only blanks since the last call
  Rest rest_ = Rest::reply;
  // Inside a call: how far pending_ was scanned, so that every byte is looked at once.
  bool bare_ = false;              // begun by <function=, not by <tool_call>
  Body body_ = Body::undecided;
  size_t scanned_ = 0;
  bool in_value_ = false;          // inside a JSON string or an XML parameter
};

}  // namespace swarm::engine::text
