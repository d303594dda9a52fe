// orchestrator/cli/live_view.h — What a person sees of a run: on a terminal a block that is redrawn
// in place (round and goal, what each agent does, tokens per second, current edges), in a pipe
// plain lines. Fed by the events of the run and by the progress of model calls; one thread. A
// change of state is drawn at once, new text at most every 50 ms.
#pragma once

#include <functional>
#include <map>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "agents/model.h"
#include "engine/base/clock.h"
#include "engine/base/json.h"

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
  void progress(std::string_view agent, const agents::Progress& progress);
  // A line from elsewhere.
  void note(const std::string& line);
  // Removes the block and shows the cursor; what follows is ordinary output. Idempotent.
  void finish();

 private:
  struct Row {
    std::string state = "idle";     // queue, prefill, decode, tool NAMES, wait, done, failed
    std::vector<std::string> tools;  // running now
    std::string words;              // the end of what it says
    int64_t output_tokens = 0;      // of the run
    int64_t call_tokens = 0;        // of the current call
    TimePoint decode_begin = {};
    double tokens_per_second = 0;   // of the last call that ended
  };
  Row& row(const std::string& agent);
  void agent_event(std::string_view type, const Json& data);
  void tool_event(std::string_view type, const std::string& agent, const Json& data);
  void round_event(std::string_view type, const Json& data);
  void say(const std::string& line);  // stays on the screen
  void draw(bool now);
  std::vector<std::string> block() const;
  double speed(const Row& row) const;
  void erase();

  std::ostream& out_;
  const Clock& clock_;
  std::function<ScreenSize()> screen_;
  int drawn_lines_ = 0;
  bool finished_ = false;
  TimePoint last_draw_ = {};
  std::string head_;
  std::string edges_;               // drawn last: what the agents read now came along them
  std::vector<std::string> order_;
  std::map<std::string, Row> rows_;
};

}  // namespace swarm::cli
