#include "engine/text/reply_parser.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/base/check.h"

namespace swarm::engine::text {
namespace {

constexpr std::string_view kBlank = " \t\r\n";

// Length of the longest end of text that is a proper beginning of marker.
size_t partial_marker(std::string_view text, std::string_view marker) {
  for (size_t length = std::min(text.size(), marker.size() - 1); length > 0; --length)
    if (text.ends_with(marker.substr(0, length))) return length;
  return 0;
}

enum class Match : uint8_t { no, yes, maybe };
// Does text begin with marker? maybe: it ends too early to know.
Match begins_with(std::string_view text, std::string_view marker) {
  if (text.starts_with(marker)) return Match::yes;
  return text.size() < marker.size() && marker.starts_with(text) ? Match::maybe : Match::no;
}

void append(ReplyPart& to, const ReplyPart& part) {
  to.content += part.content;
  to.reasoning += part.reasoning;
  to.calls.insert(to.calls.end(), part.calls.begin(), part.calls.end());
  to.malformed.insert(to.malformed.end(), part.malformed.begin(), part.malformed.end());
}

}  // namespace

ReplyParser::ReplyParser(ReplyOptions options)
    : options_(std::move(options)),
      state_(options_.opens_thinking ? State::reasoning : State::start) {}

ReplyPart ReplyParser::feed(std::string_view text) {
  SWARM_CHECK(state_ != State::ended);
  if (rest_ != Rest::nothing) pending_ += text;
  advance(false);
  append(whole_, part_);
  return std::exchange(part_, {});
}

ReplyPart ReplyParser::finish() {
  SWARM_CHECK(state_ != State::ended);
  advance(true);
  SWARM_CHECK(pending_.empty());
  state_ = State::ended;
  append(whole_, part_);
  return std::exchange(part_, {});
}

void ReplyParser::cut() {
  SWARM_CHECK(state_ != State::ended);
  rest_ = state_ == State::call ? Rest::nothing : Rest::without_calls;
  if (rest_ == Rest::nothing) advance(true);   // part_ is returned by the next feed() or finish()
}

void ReplyParser::advance(bool final) {
  for (bool more = true; more;) {
    switch (state_) {
      case State::start:
        more = step_start(final);
        break;
      case State::reasoning:
        more = step_reasoning(final);
        break;
      case State::after_reasoning:
        more = step_after_reasoning();
        break;
      case State::content:
        more = step_content(final);
        break;
      case State::call:
        more = step_call(final);
        break;
      case State::ended:
        more = false;
        break;
    }
  }
}

bool ReplyParser::step_start(bool final) {
  const size_t begin = std::min(pending_.find_first_not_of(kBlank), pending_.size());
  const Match match = begins_with(std::string_view(pending_).substr(begin), kThinkBegin);
  if (match == Match::maybe && !final) return false;
  state_ = match == Match::yes ? State::reasoning : State::content;
  if (match == Match::yes) pending_.erase(0, begin + kThinkBegin.size());
  return true;
}

bool ReplyParser::step_reasoning(bool final) {
  if (!reasoning_begun_) {
    pending_.erase(0, std::min(pending_.find_first_not_of('\n'), pending_.size()));
    reasoning_begun_ = !pending_.empty();
  }
  const size_t marker = pending_.find(kThinkEnd);
  const bool closed = marker != std::string::npos;
  size_t end = closed ? marker : pending_.size();
  if (!closed && !final) end -= partial_marker(pending_, kThinkEnd);
  size_t certain = end;
  while (certain > 0 && pending_[certain - 1] == '\n') --certain;
  part_.reasoning += pending_.substr(0, certain);
  if (closed) {
    pending_.erase(0, marker + kThinkEnd.size());
    state_ = State::after_reasoning;
  } else {
    pending_.erase(0, final ? pending_.size() : certain);
  }
  return closed;
}

bool ReplyParser::step_after_reasoning() {
  pending_.erase(0, std::min(pending_.find_first_not_of('\n'), pending_.size()));
  if (pending_.empty()) return false;
  state_ = State::content;
  return true;
}

void ReplyParser::take_content(size_t count) {
  if (count == 0) return;
  part_.content += pending_.substr(0, count);
  pending_.erase(0, count);
  after_call_ = false;
}

bool ReplyParser::step_content(bool final) {
  const bool bare_calls = options_.style == CallStyle::coder_xml;
  const std::string_view text = pending_;
  size_t marker = std::string_view::npos, partial = 0;
  if (options_.reads_calls) {
    marker = std::min(text.find(kCallBegin),
                      bare_calls ? text.find(kFunctionBegin) : std::string_view::npos);
    partial = std::max(partial_marker(text, kCallBegin),
                       bare_calls ? partial_marker(text, kFunctionBegin) : 0);
  }
  if (final && marker == std::string_view::npos) {
    const bool blank = text.find_first_not_of(kBlank) == std::string_view::npos;
    if (after_call_ && blank) pending_.clear();
    take_content(pending_.size());
    return false;
  }
  const bool found = marker != std::string_view::npos;
  const size_t end = found ? marker : text.size() - partial;
  size_t certain = end;
  if (options_.reads_calls)
    while (certain > 0 && kBlank.find(text[certain - 1]) != std::string_view::npos) --certain;
  const size_t blanks = end - certain;
  take_content(certain);
  if (!found) return false;
  pending_.erase(0, blanks);
  begin_call(!std::string_view(pending_).starts_with(kCallBegin));
  return true;
}

// pending_ begins with the opening marker, which stays there until the call is complete.
void ReplyParser::begin_call(bool bare) {
  state_ = State::call;
  bare_ = bare;
  body_ = bare ? Body::xml : Body::undecided;
  scanned_ = bare ? kFunctionBegin.size() : kCallBegin.size();
  in_value_ = false;
}

bool ReplyParser::decide_body(bool final) {
  const std::string_view text = pending_;
  const size_t begin = std::min(text.find_first_not_of(kBlank, scanned_), text.size());
  if (begin == text.size() && !final) return false;
  const Match xml = begins_with(text.substr(begin), kFunctionBegin);
  if (xml == Match::maybe && !final) return false;
  body_ = xml == Match::yes ? Body::xml : Body::other;
  if (begin < text.size() && text[begin] == '{') body_ = Body::json;
  return true;
}

bool ReplyParser::step_call(bool final) {
  if (body_ == Body::undecided && !decide_body(final)) return false;
  const End end = find_call_end(final);
  if (end.at != std::string::npos) {
    end_call(end);
    return true;
  }
  return final && end_unterminated_call();
}

ReplyParser::End ReplyParser::find_call_end(bool final) {
  return body_ == Body::xml ? scan_xml(final) : scan_json(final);
}

// A call ends at the next marker outside strings; in a body that is not JSON, quotes mean nothing.
ReplyParser::End ReplyParser::scan_json(bool final) {
  const std::string_view text = pending_;
  for (; scanned_ < text.size(); ++scanned_) {
    const char c = text[scanned_];
    if (in_value_) {
      if (c == '\\') {
        if (scanned_ + 1 == text.size()) return {};
        ++scanned_;
      } else if (c == '"') {
        in_value_ = false;
      }
    } else if (c == '"' && body_ == Body::json) {
      in_value_ = true;
    } else if (c == '<') {
      const Match closes = begins_with(text.substr(scanned_), kCallEnd);
      const Match opens = begins_with(text.substr(scanned_), kCallBegin);
      if (closes == Match::yes) return {scanned_, kCallEnd.size()};
      if (opens == Match::yes) return {scanned_, 0};
      if (!final && (closes == Match::maybe || opens == Match::maybe)) return {};
    }
  }
  return {};
}

ReplyParser::End ReplyParser::scan_xml(bool final) {
  const std::string_view text = pending_;
  while (scanned_ < text.size()) {
    if (in_value_) {
      const size_t close = text.find(kParameterEnd, scanned_);
      if (close == std::string_view::npos) {
        scanned_ = text.size() - partial_marker(text.substr(scanned_), kParameterEnd);
        return {};
      }
      scanned_ = close + kParameterEnd.size();
      in_value_ = false;
      continue;
    }
    const std::string_view rest = text.substr(scanned_);
    bool undecided = false;
    const auto at = [&](std::string_view marker) {
      const Match match = begins_with(rest, marker);
      undecided = undecided || match == Match::maybe;
      return match == Match::yes;
    };
    if (at(kCallEnd)) return {scanned_, kCallEnd.size()};
    if (at(kCallBegin)) return {scanned_, 0};
    if (at(kParameterBegin)) {
      scanned_ += kParameterBegin.size();
      in_value_ = true;
      continue;
    }
    if (at(kFunctionEnd) && bare_) return bare_call_end(scanned_ + kFunctionEnd.size(), final);
    if (undecided && !final) return {};
    ++scanned_;
  }
  return {};
}

// Without an opening marker the call ends at </function>, plus a closing marker if one follows.
ReplyParser::End ReplyParser::bare_call_end(size_t after_function, bool final) const {
  const std::string_view text = pending_;
  const size_t next = std::min(text.find_first_not_of(kBlank, after_function), text.size());
  const Match match = begins_with(text.substr(next), kCallEnd);
  if (match == Match::yes) return {next, kCallEnd.size()};
  if (match == Match::maybe && !final) return {};
  return {after_function, 0};
}

void ReplyParser::end_call(End end) {
  const size_t open = bare_ ? 0 : kCallBegin.size();
  const std::string_view text = pending_;
  auto calls = parse_call_body(text.substr(open, end.at - open), options_.tools);
  if (rest_ == Rest::without_calls) {
    // Nothing of it was said by the writer.
  } else if (calls) {
    for (ToolCall& call : *calls) part_.calls.push_back(std::move(call));
  } else {
    part_.malformed.emplace_back(text.substr(0, end.at + end.terminator));
  }
  pending_.erase(0, end.at + end.terminator);
  after_call_ = true;
  state_ = State::content;
}

// The reply stopped inside a call. What parses is a call that lacks its marker. Otherwise a marker
// inside an unclosed string ends the call, so that what follows is not lost in it.
bool ReplyParser::end_unterminated_call() {
  const size_t open = bare_ ? 0 : kCallBegin.size();
  const std::string_view text = pending_;
  const bool parses = parse_call_body(text.substr(open), options_.tools).has_value();
  const size_t marker = parses ? std::string_view::npos : text.find(kCallEnd, open);
  if (marker == std::string_view::npos) {
    end_call({text.size(), 0});
  } else {
    end_call({marker, kCallEnd.size()});
  }
  return true;
}

}  // namespace swarm::engine::text
