#include "orchestrator/cli/live_view.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/base/utf8.h"

namespace swarm::cli {
namespace {

constexpr std::chrono::milliseconds kRedrawEvery{50};

std::string text_of(const Json& data, const char* key) {
  const auto found = data.find(key);
  if (found == data.end() || found->is_null()) return "";
  return found->is_string() ? found->get<std::string>() : dump_json(*found);
}

// One line, no control characters: text of a model never moves the cursor.
std::string one_line(std::string_view text) {
  std::string out;
  for (char c : utf8_sanitize(text))
    out += static_cast<unsigned char>(c) < 32 || c == 127 ? ' ' : c;
  return out;
}

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

}  // namespace

LiveView::LiveView(std::ostream& out, const Clock& clock, bool terminal, int columns)
    : out_(out), clock_(clock), terminal_(terminal), columns_(std::max(columns, 40)) {
  if (terminal_) out_ << "\x1b[?25l" << std::flush;  // hide the cursor
}

LiveView::~LiveView() {
  finish();
  if (terminal_) out_ << "\x1b[?25h" << std::flush;
}

LiveView::Row& LiveView::row(const std::string& agent) {
  if (!rows_.contains(agent)) order_.push_back(agent);
  return rows_[agent];
}

void LiveView::event(std::string_view type, const Json& data) {
  if (type == "run.start") {
    say("run " + text_of(data, "run") + " of " + text_of(data, "name"));
  } else if (type == "mcp.start") {
    say("server " + text_of(data, "server") + " with tools " + text_of(data, "tools"));
  } else if (type == "task.end") {
    say("task " + text_of(data, "task") + ": " + text_of(data, "outcome"));
  } else if (data.contains("agent")) {
    agent_event(type, data);
  } else {
    round_event(type, data);
  }
  draw(false);
}

void LiveView::agent_event(std::string_view type, const Json& data) {
  Row& mine = row(text_of(data, "agent"));
  if (type == "model.call") {
    mine.state = "prefill";
    mine.line.clear();
  } else if (type == "model.reply") {
    mine.state = "done";
    const Json usage = data.value("usage", Json::object());
    const int64_t tokens = usage.value("output_tokens", int64_t{0});
    const double seconds = usage.value("decode_ns", 0.0) / 1e9;
    mine.output_tokens += tokens;
    if (seconds > 0) mine.tokens_per_second = static_cast<double>(tokens) / seconds;
  } else if (type == "tool.call") {
    mine.state = "tool " + text_of(data, "tool");
    say("  " + text_of(data, "agent") + " calls " + text_of(data, "tool") + " " +
        one_line(text_of(data, "arguments")));
  } else if (type == "tool.result") {
    mine.state = "queue";
    say("  " + text_of(data, "tool") + " -> " + one_line(text_of(data, "text")));
  } else if (type == "agent.message") {
    mine.state = data.contains("failure") ? "failed" : "done";
    if (const std::string said = text_of(data, "public"); !said.empty())
      say("  " + text_of(data, "agent") + ": " + one_line(said));
  } else if (type == "agent.failed") {
    mine.state = "failed";
    say("  " + text_of(data, "agent") + " failed: " + one_line(text_of(data, "error")));
  }
}

void LiveView::round_event(std::string_view type, const Json& data) {
  if (type == "round.start") {
    head_ = "round " + text_of(data, "round") + ": " + one_line(text_of(data, "goal"));
    edges_.clear();
    say(head_);
  } else if (type == "topology") {
    edges_.clear();
    for (const Json& edge : data.value("edges", Json::array())) {
      const std::string score = dump_json(Json(std::round(edge.value("score", 0.0) * 100) / 100));
      edges_ += (edges_.empty() ? "" : ", ") + text_of(edge, "from") + " -> " +
                text_of(edge, "to") + " (" + score + ")";
    }
  } else if (type == "message.delivered") {
    say("  " + text_of(data, "from") + " => " + text_of(data, "to"));
  } else if (type == "manager.decision") {
    say("  manager: " + one_line(text_of(data, "status")) +
        (data.value("is_complete", false) ? " (complete)" : ""));
  }
}

void LiveView::text(std::string_view agent, std::string_view piece) {
  if (!terminal_) return;
  Row& mine = row(std::string(agent));
  mine.state = "decode";
  mine.line += one_line(piece);
  draw(false);
}

void LiveView::say(const std::string& line) {
  erase();
  out_ << line << "\n";
  if (!terminal_) return void(out_ << std::flush);
  draw(true);
}

std::string LiveView::cut(std::string text) const {
  const size_t width = static_cast<size_t>(columns_) - 1;
  if (text.size() <= width) return text;
  text.resize(width);
  text.resize(text.size() - utf8_incomplete_tail(text));
  return text;
}

void LiveView::draw(bool now) {
  if (!terminal_) return;
  if (!now && clock_.now() - last_draw_ < kRedrawEvery) return;
  last_draw_ = clock_.now();
  erase();
  std::vector<std::string> lines;
  for (const std::string& agent : order_) {
    const Row& mine = rows_[agent];
    const std::string speed =
        mine.tokens_per_second > 0
            ? std::to_string(static_cast<int>(std::lround(mine.tokens_per_second))) + " tok/s"
            : "";
    lines.push_back("  " + padded(agent, 12) + " " + padded(mine.state, 18) + " " +
                    padded(std::to_string(mine.output_tokens) + " tok", 10) + " " +
                    padded(speed, 11) + " " + mine.line);
  }
  if (!edges_.empty()) lines.push_back("  edges: " + edges_);
  for (const std::string& line : lines) out_ << cut(line) << "\n";
  drawn_lines_ = static_cast<int>(lines.size());
  out_ << std::flush;
}

void LiveView::erase() {
  if (drawn_lines_ > 0) out_ << "\x1b[" << drawn_lines_ << "A\x1b[J";
  drawn_lines_ = 0;
}

void LiveView::finish() {
  erase();
  out_ << std::flush;
}

}  // namespace swarm::cli
