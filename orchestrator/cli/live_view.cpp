#include "orchestrator/cli/live_view.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/base/utf8.h"
#include "orchestrator/cli/text.h"

namespace swarm::cli {
namespace {

constexpr std::chrono::milliseconds kRedrawEvery{50};
// Shorter decodes say nothing about speed.
constexpr std::chrono::milliseconds kSpeedAfter{20};
constexpr size_t kWordsBytesMax = 512;

std::string text_of(const Json& data, const char* key) {
  const auto found = data.find(key);
  return found == data.end() || found->is_null() ? "" : as_text(*found);
}

// One line, no control characters: text of a model never moves the cursor. C1 controls are two
// bytes in UTF-8, U+0080 to U+009F; some terminals obey them.
std::string one_line(std::string_view text) {
  std::string out;
  for (char c : utf8_sanitize(text)) {
    const auto byte = static_cast<unsigned char>(c);
    const bool c1 = byte >= 0x80 && byte < 0xa0 && out.ends_with('\xc2');
    if (c1) out.pop_back();
    out += byte < 32 || byte == 127 || c1 ? ' ' : c;
  }
  return out;
}

// At most `bytes`, whole characters. No character is wider than its bytes.
std::string head_of(std::string text, size_t bytes) {
  if (text.size() <= bytes) return text;
  text.resize(bytes);
  text.resize(text.size() - utf8_incomplete_tail(text));
  return text;
}
std::string tail_of(const std::string& text, size_t bytes) {
  if (text.size() <= bytes) return text;
  size_t from = text.size() - bytes;
  while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xc0) == 0x80) ++from;
  return text.substr(from);
}

std::string padded(std::string text, size_t width) {
  text = head_of(std::move(text), width);
  text.append(width - text.size(), ' ');
  return text + " ";
}

std::string rounded(double value) { return std::to_string(std::lround(value)); }

}  // namespace

LiveView::LiveView(std::ostream& out, const Clock& clock, std::function<ScreenSize()> screen)
    : out_(out), clock_(clock), screen_(std::move(screen)) {
  if (screen_) out_ << "\x1b[?25l" << std::flush;  // hide the cursor
}

LiveView::~LiveView() { finish(); }

LiveView::Row& LiveView::row(const std::string& agent) {
  if (!rows_.contains(agent)) order_.push_back(agent);
  return rows_[agent];
}

void LiveView::event(std::string_view type, const Json& data) {
  if (type == "run.start") {
    say("run " + text_of(data, "run") + " of " + text_of(data, "name"));
    head_ = "opening the models";
  } else if (type == "mcp.start") {
    say("server " + text_of(data, "server") + " with tools " + text_of(data, "tools"));
  } else if (type == "task.start") {
    head_ = "task " + text_of(data, "task");
  } else if (type == "task.end") {
    say("task " + text_of(data, "task") + ": " + text_of(data, "outcome"));
  } else if (data.contains("agent")) {
    agent_event(type, data);
  } else {
    round_event(type, data);
  }
  draw(true);
}

void LiveView::agent_event(std::string_view type, const Json& data) {
  const std::string agent = text_of(data, "agent");
  Row& mine = row(agent);
  if (type == "model.call") {
    mine.state = "queue";
    mine.call_tokens = 0;
    mine.words.clear();
  } else if (type == "model.reply") {
    mine.state = "done";
    const Json usage = data.value("usage", Json::object());
    const int64_t tokens = usage.value("output_tokens", int64_t{0});
    const double seconds = usage.value("decode_ms", 0.0) / 1e3;
    mine.output_tokens += tokens - mine.call_tokens;  // a script reports none on the way
    mine.call_tokens = 0;
    if (seconds > 0) mine.tokens_per_second = static_cast<double>(tokens) / seconds;
  } else if (type == "tool.call" || type == "tool.result") {
    tool_event(type, agent, data);
  } else if (type == "agent.message") {
    mine.state = data.contains("failure") ? "failed" : "done";
    if (const std::string said = text_of(data, "public"); !said.empty())
      say("  " + agent + ": " + one_line(said));
  } else if (type == "agent.failed") {
    mine.state = "failed";
    say("  " + agent + " failed: " + one_line(text_of(data, "error")));
  }
}

void LiveView::tool_event(std::string_view type, const std::string& agent, const Json& data) {
  Row& mine = row(agent);
  const std::string tool = text_of(data, "tool");
  if (type == "tool.call") {
    mine.tools.push_back(tool);
    say("  " + agent + " calls " + tool + " " + one_line(text_of(data, "arguments")));
  } else {
    const auto running = std::find(mine.tools.begin(), mine.tools.end(), tool);
    if (running != mine.tools.end()) mine.tools.erase(running);
    say("  " + tool + " -> " + one_line(text_of(data, "text")));
  }
  mine.state = mine.tools.empty() ? "wait" : "tool";
  for (const std::string& name : mine.tools) mine.state += " " + name;
}

void LiveView::round_event(std::string_view type, const Json& data) {
  if (type == "round.start") {
    head_ = "round " + text_of(data, "round") + ": " + one_line(text_of(data, "goal"));
    say(head_);
  } else if (type == "topology") {
    edges_.clear();
    for (const Json& edge : data.value("edges", Json::array())) {
      const std::string score = dump_json(Json(std::round(edge.value("score", 0.0) * 100) / 100));
      edges_ += (edges_.empty() ? "" : ", ") + text_of(edge, "from") + " -> " +
                text_of(edge, "to") + " (" + score + ")";
    }
    if (edges_.empty()) edges_ = "none";
  } else if (type == "message.delivered") {
    say("  " + text_of(data, "from") + " => " + text_of(data, "to"));
  } else if (type == "manager.decision") {
    say("  manager: " + one_line(text_of(data, "status")) +
        (data.value("is_complete", false) ? " (complete)" : ""));
  }
}

void LiveView::progress(std::string_view agent, const agents::Progress& progress) {
  if (!screen_) return;
  Row& mine = row(std::string(agent));
  const bool changed = mine.state != to_string(progress.phase);
  mine.state = to_string(progress.phase);
  if (changed && progress.phase == agents::Phase::decode) mine.decode_begin = clock_.now();
  mine.call_tokens += progress.output_tokens;
  mine.output_tokens += progress.output_tokens;
  mine.words = tail_of(mine.words + one_line(progress.text), kWordsBytesMax);
  draw(changed);
}

void LiveView::say(const std::string& line) {
  erase();
  out_ << line << "\n";
  if (!screen_) out_ << std::flush;
}

void LiveView::note(const std::string& line) {
  say(line);
  draw(true);
}

// Of the call that is being decoded, else of the last one.
double LiveView::speed(const Row& row) const {
  const auto since = clock_.now() - row.decode_begin;
  if (row.state != "decode" || since < kSpeedAfter) return row.tokens_per_second;
  return static_cast<double>(row.call_tokens) / std::chrono::duration<double>(since).count();
}

std::vector<std::string> LiveView::block() const {
  const ScreenSize screen = screen_();
  const auto width = static_cast<size_t>(std::max(screen.columns, 20)) - 1;
  std::vector<std::string> lines{"-- " + head_};
  // The block must fit: the cursor cannot be moved above the screen.
  const size_t room = static_cast<size_t>(std::max(screen.rows - 4, 1));
  for (const std::string& agent : order_) {
    if (lines.size() > room) {
      lines.push_back("  and " + counted(std::ssize(order_) - std::ssize(lines) + 1, "more agent"));
      break;
    }
    const Row& mine = rows_.at(agent);
    const double per_second = speed(mine);
    const std::string fixed = "  " + padded(agent, 12) + padded(mine.state, 20) +
                              padded(std::to_string(mine.output_tokens) + " tok", 9) +
                              padded(per_second > 0 ? rounded(per_second) + " tok/s" : "", 11);
    lines.push_back(fixed + tail_of(mine.words, width > fixed.size() ? width - fixed.size() : 0));
  }
  if (!edges_.empty()) lines.push_back("  edges: " + edges_);
  for (std::string& line : lines) line = head_of(std::move(line), width);
  return lines;
}

void LiveView::draw(bool now) {
  if (!screen_ || finished_) return;
  if (!now && clock_.now() - last_draw_ < kRedrawEvery) return;
  last_draw_ = clock_.now();
  const std::vector<std::string> lines = block();
  erase();
  for (const std::string& line : lines) out_ << line << "\n";
  drawn_lines_ = static_cast<int>(lines.size());
  out_ << std::flush;
}

void LiveView::erase() {
  // From the first column: a terminal echoes ^C.
  if (drawn_lines_ > 0) out_ << "\r\x1b[" << drawn_lines_ << "A\x1b[J";
  drawn_lines_ = 0;
}

void LiveView::finish() {
  if (finished_) return;
  erase();
  if (screen_) out_ << "\x1b[?25h" << std::flush;
  finished_ = true;
}

}  // namespace swarm::cli
