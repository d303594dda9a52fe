// orchestrator/cli/live_view.h — What a person sees of a run: on a terminal a block that is redrawn
// in place (tasks, rounds and goals, what each agent does, tokens per second, current edges), in a
// pipe plain lines. Fed by the events of the run and by the progress of model calls; one thread. A
// change of state is drawn at once, new text at most every 50 ms. Agents of tasks that have ended
// leave the block; where not all of them fit, those that work come first.
#pragma once

#include <functional>
#include <map>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agents/model.h"
#include "engine/base/clock.h"
#include "engine/base/json.h"
#include "orchestrator/run/recorder.h"

namespace swarm::cli {

struct ScreenSize {
  int columns = 100;
  int rows = 30;
};

class LiveView {
 public:
  // clock and out outlive the view. screen: asked before every drawing, windows change; empty: not
  // a terminal.
  LiveView(std::ostream& out, const Clock& clock, std::function<ScreenSize()> screen);
  ~LiveView();  // restores the terminal
  LiveView(const LiveView&) = delete;
  LiveView& operator=(const LiveView&) = delete;

  void event(std::string_view type, const Json& data);
  void progress(const run::Speaker& speaker, const agents::Progress& progress);
  // A line from elsewhere.
  void note(const std::string& line);
  // A person has typed a line at a question: the terminal has shown it, below the block.
  void answered();
  // Somebody asked for the end: what still works is shown as stopping.
  void cancelling();
  // Removes the block and shows the cursor; what follows is ordinary output. Idempotent.
  void finish();

 private:
  struct Row {
    std::string state = "idle";     // queue, prefill, decode, tool NAMES, wait, done, failed
    std::vector<std::string> tools;  // running now
    std::string words;              // the end of what it says
    int64_t output_tokens = 0;      // of the task
    int64_t call_tokens = 0;        // of the current call
    int64_t call_decoded = 0;       // of these: not forced by a grammar
    TimePoint decode_begin = {};
    double tokens_per_second = 0;   // decoded ones, of the last call that ended
    bool works() const {
      return state != "done" && state != "failed" && state != "stopped" && state != "idle";
    }
  };
  struct Task {
    int64_t round = 0;              // 0 = none yet
    std::string goal;
    std::string edges;              // drawn last: what the agents read now came along them
    std::vector<std::string> order;  // agents as they first spoke
    std::map<std::string, Row> rows;
  };
  // Only events and progress of a task that runs reach it.
  Task& task(const std::string& name);
  Row& row(const std::string& task, const std::string& agent);

  void task_event(std::string_view type, const std::string& name, const Json& data);
  void agent_event(std::string_view type, Row& mine, const std::string& agent, const Json& data);
  void tool_event(std::string_view type, Row& mine, const std::string& who, const Json& data);
  void server_event(std::string_view type, const Json& data);
  void round_event(std::string_view type, Task& task, const std::string& name, const Json& data);
  void say(const std::string& line);  // stays on the screen
  void draw(bool now);
  std::vector<std::string> block(const ScreenSize& screen) const;
  std::string head() const;
  std::vector<std::string> agent_lines(size_t width, size_t room) const;
  std::string agent_line(const std::string& label, const Row& row, size_t width) const;
  double speed(const Row& row) const;
  void erase();

  std::ostream& out_;
  const Clock& clock_;
  std::function<ScreenSize()> screen_;
  std::vector<size_t> drawn_widths_;   // of the lines of the block that is on the screen
  bool finished_ = false;
  bool cancelling_ = false;
  TimePoint last_draw_ = {};
  std::string phase_;                  // before the first task
  std::vector<std::string> starting_;  // servers
  int64_t tasks_ended_ = 0;
  int64_t tasks_total_ = 0;            // 0 = unknown
  std::vector<std::pair<std::string, Task>> tasks_;   // those that run, in order of their start
};

}  // namespace swarm::cli
