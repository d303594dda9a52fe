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
constexpr size_t kSaidBytesMax = 400;    // of one line of the story
constexpr size_t kLabelBytesMax = 24;
constexpr size_t kEdgeLinesMax = 3;
constexpr size_t kServerLinesMax = 3;    // of the stderr of a server that failed

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

// A line of the story: the whole text is in the journal.
std::string told(const std::string& text) {
  const std::string line = one_line(text);
  return line.size() <= kSaidBytesMax ? line : head_of(line, kSaidBytesMax) + " ...";
}

std::string edge_list(const Json& data) {
  std::string out;
  for (const Json& edge : data.value("edges", Json::array())) {
    const std::string score = dump_json(Json(std::round(edge.value("score", 0.0) * 100) / 100));
    out += (out.empty() ? "" : ", ") + text_of(edge, "from") + " -> " + text_of(edge, "to") + " (" +
           score + ")";
  }
  return out.empty() ? "none" : out;
}

std::string rounded(double value) { return std::to_string(std::lround(value)); }

}  // namespace

LiveView::LiveView(std::ostream& out, const Clock& clock, std::function<ScreenSize()> screen)
    : out_(out), clock_(clock), screen_(std::move(screen)) {
  if (screen_) out_ << "\x1b[?25l" << std::flush;  // hide the cursor
}

LiveView::~LiveView() { finish(); }

LiveView::Task& LiveView::task(const std::string& name) {
  for (auto& [known, task] : tasks_)
    if (known == name) return task;
  return tasks_.emplace_back(name, Task{}).second;
}

LiveView::Row& LiveView::row(const std::string& task_name, const std::string& agent) {
  Task& mine = task(task_name);
  if (!mine.rows.contains(agent)) mine.order.push_back(agent);
  return mine.rows[agent];
}

void LiveView::event(std::string_view type, const Json& data) {
  const std::string name = text_of(data, "task");
  if (type == "run.start") {
    say("run " + text_of(data, "run") + " of " + text_of(data, "name"));
    tasks_total_ = std::ssize(data.value("tasks", Json::array()));
    phase_ = "opening the models";
  } else if (type.starts_with("mcp.")) {
    server_event(type, data);
  } else if (type.starts_with("task.")) {
    task_event(type, name, data);
  } else if (type == "tool.policy") {
    if (!data.value("allowed", true))
      say("  " + text_of(data, "agent") + " may not call " + text_of(data, "tool") + ": " +
          told(text_of(data, "rule")));
  } else if (data.contains("agent")) {
    const std::string agent = text_of(data, "agent");
    agent_event(type, row(name, agent), (tasks_total_ > 1 ? name + "/" : "") + agent, data);
  } else if (type == "tool.call" || type == "tool.result") {
    tool_event(type, row(name, name), name, data);     // a task that is one call
  } else if (!name.empty()) {
    round_event(type, task(name), tasks_total_ > 1 ? name + ", " : "", data);
  }
  draw(true);
}

void LiveView::server_event(std::string_view type, const Json& data) {
  const std::string name = text_of(data, "server"), state = text_of(data, "state");
  if (type == "mcp.start") {
    phase_ = "starting the servers";
    starting_.push_back(name);
  } else if (type == "mcp.ready") {
    say("server " + name + " with tools " + text_of(data, "tools") +
        (data.value("late", false) ? ", which join now" : ""));
  }
  if (type != "mcp.state" || state == "starting") return;
  std::erase(starting_, name);
  if (state == "ready") return;
  std::string reason = text_of(data, "reason");
  const size_t end = reason.find('\n');
  say("server " + name + " is " + state + (reason.empty() ? "" : ": ") +
      told(reason.substr(0, end)));
  // What it said last: the cause is more often in the last lines than in the first.
  std::vector<std::string> tail;
  while (end != std::string::npos && !reason.empty() && tail.size() < kServerLinesMax) {
    if (reason.back() == '\n') reason.pop_back();
    const size_t begin = reason.find_last_of('\n');
    if (begin == std::string::npos) break;
    tail.push_back(reason.substr(begin + 1));
    reason.resize(begin);
  }
  for (size_t i = tail.size(); i-- > 0;) say("  | " + told(tail[i]));
}

void LiveView::task_event(std::string_view type, const std::string& name, const Json& data) {
  phase_ = "ending";
  if (type == "task.start") {
    task(name);
    return;
  }
  ++tasks_ended_;
  say("task " + name + ": " + (type == "task.skip" ? "skipped" : text_of(data, "outcome")));
  std::erase_if(tasks_, [&](const auto& one) { return one.first == name; });
}

void LiveView::agent_event(std::string_view type, Row& mine, const std::string& agent,
                           const Json& data) {
  if (type == "model.call") {
    mine.state = "queue";
    mine.call_tokens = mine.call_decoded = 0;
    mine.words.clear();
  } else if (type == "model.reply") {
    mine.state = "done";
    const Json usage = data.value("usage", Json::object());
    const int64_t tokens = usage.value("output_tokens", int64_t{0});
    const int64_t decoded = tokens - usage.value("forced_tokens", int64_t{0});
    const double seconds = usage.value("decode_ms", 0.0) / 1e3;
    mine.output_tokens += tokens - mine.call_tokens;  // a script reports none on the way
    mine.call_tokens = mine.call_decoded = 0;
    if (seconds > 0) mine.tokens_per_second = static_cast<double>(decoded) / seconds;
  } else if (type == "tool.call" || type == "tool.result") {
    tool_event(type, mine, agent, data);
  } else if (type == "model.cut") {
    mine.state = "stopped";
  } else if (type == "agent.message") {
    mine.state = data.contains("failure") ? "failed" : "done";
    if (const std::string said = text_of(data, "public"); !said.empty())
      say("  " + agent + ": " + told(said));
  } else if (type == "agent.failed") {
    mine.state = "failed";
    say("  " + agent + " failed: " + told(text_of(data, "error")));
  }
}

void LiveView::tool_event(std::string_view type, Row& mine, const std::string& who,
                          const Json& data) {
  const std::string tool = text_of(data, "tool");
  if (type == "tool.call") {
    mine.tools.push_back(tool);
    say("  " + who + " calls " + tool + " " + told(text_of(data, "arguments")));
  } else {
    const auto running = std::find(mine.tools.begin(), mine.tools.end(), tool);
    if (running != mine.tools.end()) mine.tools.erase(running);
    say("  " + tool + " -> " + told(text_of(data, "text")));
  }
  mine.state = mine.tools.empty() ? "wait" : "tool";
  for (const std::string& name : mine.tools) mine.state += " " + name;
}

// where: "" or which of several tasks.
void LiveView::round_event(std::string_view type, Task& task, const std::string& where,
                           const Json& data) {
  if (type == "round.start") {
    task.round = data.value("round", int64_t{0});
    task.goal = one_line(text_of(data, "goal"));
    say(where + "round " + std::to_string(task.round) + ": " + told(task.goal));
  } else if (type == "topology") {
    task.edges = edge_list(data);
  } else if (type == "message.delivered") {
    say("  " + text_of(data, "from") + " => " + text_of(data, "to"));
  } else if (type == "manager.decision") {
    say("  manager: " + told(text_of(data, "status")) +
        (data.value("is_complete", false) ? " (complete)" : ""));
  }
}

void LiveView::progress(const run::Speaker& speaker, const agents::Progress& progress) {
  if (!screen_) return;
  Row& mine = row(std::string(speaker.task), std::string(speaker.agent));
  const bool changed = mine.state != to_string(progress.phase);
  mine.state = to_string(progress.phase);
  if (changed && progress.phase == agents::Phase::decode) mine.decode_begin = clock_.now();
  mine.call_tokens += progress.output_tokens;
  mine.call_decoded += progress.output_tokens - progress.forced_tokens;
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
  say(told(line));
  draw(true);
}

void LiveView::answered() {
  if (!drawn_widths_.empty()) drawn_widths_.push_back(1);
}

void LiveView::cancelling() {
  cancelling_ = true;
  for (auto& [name, task] : tasks_)
    for (auto& [agent, row] : task.rows)
      if (row.works()) row.state = "stopping";
  say("cancelling; again to leave at once");
  draw(true);
}

// Of the call that is being decoded, else of the last one.
double LiveView::speed(const Row& row) const {
  const auto since = clock_.now() - row.decode_begin;
  if (row.state != "decode" || since < kSpeedAfter) return row.tokens_per_second;
  return static_cast<double>(row.call_decoded) / std::chrono::duration<double>(since).count();
}

// One task: its round and goal. Several: how many have ended, and where the others are.
std::string LiveView::head() const {
  if (cancelling_) return "cancelling";
  if (tasks_.empty()) {
    std::string names;
    for (const std::string& name : starting_) names += (names.empty() ? ": " : ", ") + name;
    return phase_ + one_line(names);
  }
  if (tasks_total_ <= 1) {
    const auto& [name, task] = tasks_.front();
    return task.round == 0 ? "task " + one_line(name)
                           : "round " + std::to_string(task.round) + ": " + task.goal;
  }
  std::string out =
      std::to_string(tasks_ended_) + " of " + counted(tasks_total_, "task") + " done, now ";
  for (size_t i = 0; i < tasks_.size(); ++i) {
    const auto& [name, task] = tasks_[i];
    out += (i == 0 ? "" : ", ") + name;
    if (task.round > 0) out += " (round " + std::to_string(task.round) + ")";
  }
  return out;
}

std::string LiveView::agent_line(const std::string& label, const Row& row, size_t width) const {
  const double per_second = speed(row);
  const std::string fixed = "  " + label + padded(row.state, 16) +
                            padded(std::to_string(row.output_tokens) + " tok", 9) +
                            padded(per_second > 0 ? rounded(per_second) + " tok/s" : "", 11);
  return fixed + tail_of(row.words, width > fixed.size() ? width - fixed.size() : 0);
}

std::vector<std::string> LiveView::agent_lines(size_t width, size_t room) const {
  struct Line {
    std::string label;
    const Row* row;
    std::pair<bool, size_t> rank;      // those that work, then the first of every task
    bool shown = false;
  };
  std::vector<Line> all;
  size_t label_width = 12;
  for (const auto& [name, task] : tasks_)
    for (size_t i = 0; i < task.order.size(); ++i) {
      const std::string& agent = task.order[i];
      const Row& row = task.rows.at(agent);
      const bool bare = tasks_total_ <= 1 || agent == name;
      all.push_back({one_line(bare ? agent : name + "/" + agent), &row, {!row.works(), i}});
      label_width = std::max(label_width, std::min(all.back().label.size(), kLabelBytesMax));
    }
  std::vector<Line*> ranked;
  for (Line& line : all) ranked.push_back(&line);
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const Line* a, const Line* b) { return a->rank < b->rank; });
  const size_t shown = all.size() <= room ? all.size() : room - 1;    // a line for the others
  for (size_t i = 0; i < shown; ++i) ranked[i]->shown = true;
  std::vector<std::string> lines;
  std::map<std::string, int64_t> others;
  for (const Line& line : all) {
    if (line.shown)
      lines.push_back(agent_line(padded(line.label, label_width), *line.row, width));
    else
      ++others[line.row->state.substr(0, line.row->state.find(' '))];
  }
  if (others.empty()) return lines;
  std::string rest;
  for (const auto& [state, count] : others)
    rest += (rest.empty() ? "" : ", ") + std::to_string(count) + " " + state;
  lines.push_back("  and " + counted(std::ssize(all) - std::ssize(lines), "more agent") + ": " +
                  rest);
  return lines;
}

std::vector<std::string> LiveView::block(const ScreenSize& screen) const {
  const auto width = static_cast<size_t>(std::max(screen.columns, 20)) - 1;
  std::vector<std::string> edges;
  double total = 0;
  for (const auto& [name, task] : tasks_) {
    if (!task.edges.empty() && edges.size() < kEdgeLinesMax)
      edges.push_back("  edges" + (tasks_total_ > 1 ? " of " + name : "") + ": " + task.edges);
    for (const auto& [agent, row] : task.rows)
      if (row.state == "decode") total += speed(row);
  }
  const std::string speeds = total > 0 ? "  " + rounded(total) + " tok/s" : "";
  std::vector<std::string> lines{
      head_of("-- " + head(), width - std::min(speeds.size(), width)) + speeds};
  // The block must fit: the cursor cannot be moved above the screen.
  const auto rows = static_cast<size_t>(std::max(screen.rows - 2, 2));
  const size_t used = 1 + edges.size();
  for (std::string& line : agent_lines(width, rows > used + 1 ? rows - used : 1))
    lines.push_back(std::move(line));
  for (std::string& line : edges) lines.push_back(std::move(line));
  for (std::string& line : lines) line = head_of(std::move(line), width);
  return lines;
}

void LiveView::draw(bool now) {
  if (!screen_ || finished_) return;
  if (!now && clock_.now() - last_draw_ < kRedrawEvery) return;
  last_draw_ = clock_.now();
  const std::vector<std::string> lines = block(screen_());
  erase();
  for (const std::string& line : lines) {
    out_ << line << "\n";
    drawn_widths_.push_back(line.size());
  }
  out_ << std::flush;
}

void LiveView::erase() {
  if (drawn_widths_.empty()) return;
  // A window that became narrower has broken the lines.
  const auto columns = static_cast<size_t>(std::max(screen_().columns, 1));
  size_t rows = 0;
  for (const size_t width : drawn_widths_)
    rows += std::max<size_t>(1, (width + columns - 1) / columns);
  // From the first column: a terminal echoes ^C.
  out_ << "\r\x1b[" << rows << "A\x1b[J";
  drawn_widths_.clear();
}

void LiveView::finish() {
  if (finished_) return;
  erase();
  if (screen_) out_ << "\x1b[?25h" << std::flush;
  finished_ = true;
}

}  // namespace swarm::cli
