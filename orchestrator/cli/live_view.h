// orchestrator/cli/live_view.h — What a person sees of a run: on a terminal a block that is redrawn
// in place (agents, what each does, tokens per second, current edges), in a pipe plain lines. Fed
// by the events of the run and by text as it is generated; one thread.
#pragma once

#include <map>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/json.h"

namespace swarm::cli {

class LiveView {
 public:
  // clock and out outlive the view. columns: width of the terminal.
  LiveView(std::ostream& out, const Clock& clock, bool terminal, int columns);
  ~LiveView();  // restores the terminal
  LiveView(const LiveView&) = delete;
  LiveView& operator=(const LiveView&) = delete;

  void event(std::string_view type, const Json& data);
  void text(std::string_view agent, std::string_view piece);
  // Removes the block; what follows is ordinary output.
  void finish();

 private:
  struct Row {
    std::string state = "idle";     // queue, prefill, decode, tool NAME, done, failed
    std::string line;               // last words
    int64_t output_tokens = 0;
    double tokens_per_second = 0;
  };
  Row& row(const std::string& agent);
  void agent_event(std::string_view type, const Json& data);
  void round_event(std::string_view type, const Json& data);
  void say(const std::string& line);  // stays on the screen
  void draw(bool now);
  void erase();
  std::string cut(std::string text) const;

  std::ostream& out_;
  const Clock& clock_;
  bool terminal_;
  int columns_;
  int drawn_lines_ = 0;
  TimePoint last_draw_ = {};
  std::string head_;
  std::string edges_;
  std::vector<std::string> order_;
  std::map<std::string, Row> rows_;
};

}  // namespace swarm::cli
