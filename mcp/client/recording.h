// mcp/client/recording.h — A session as JSON lines: what was asked, in order, and what came of it.
// Written while a session runs, secrets taken out; read by a replay, which answers from it. Lines:
//   {"swarm_mcp_recording":1,"server":NAME}
//   {"request":N,"method":M,"params":P}        ours, without _meta
//   {"progress":N,"params":P}                  of request N, without its token
//   {"outcome":N,"result":R} or {"outcome":N,"refused":{code,http_status,text,data,session_lost}}
//     or {"outcome":N,"problem":{kind,text}} or {"outcome":N,"cancelled":true}
//   {"notice":M,"params":P}, {"asked":M,"id":I,"params":P}      of the server
//   {"gone":REASON}                            the server ended by itself
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "mcp/client/redactor.h"
#include "mcp/mcp.h"

namespace swarm::mcp {

// Blocking writes to one private file; one strand.
class Recorder {
 public:
  Recorder(int fd, Redactor redactor, std::string server);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  // Replaces the file ServerConfig::record.
  static Result<std::shared_ptr<Recorder>> create(const ServerConfig& server);

  int64_t request(const std::string& method, const Json& params);
  void progress(int64_t request, const Json& params);
  void result(int64_t request, const Json& result);
  void failure(int64_t request, const std::exception_ptr& failure);
  void notice(const std::string& method, const Json& params);
  void asked(const std::string& method, const Json& id, const Json& params);
  void gone(const std::string& reason);

 private:
  void write(const Json& line);

  const int fd_;
  const Redactor redactor_;
  const std::string server_;
  int64_t last_ = 0;
};

// A recording that is being played. Each request is answered once; equal ones in recorded order.
class Replay {
 public:
  struct Step {
    enum class Kind : uint8_t {
      progress, notice, asked, gone, result, refused, problem, cancelled
    };
    Kind kind;
    Json line;
  };
  struct Exchange {
    std::string method, key;
    std::vector<Step> steps;               // in the order in which they came
    bool used = false;
  };

  static Result<std::shared_ptr<Replay>> load(const ServerConfig& server);
  // nullptr: nothing was recorded for it, or it has been used up.
  const Exchange* take(const std::string& method, const Json& params);
  size_t unused() const;
  const std::string& file() const { return file_; }

 private:
  explicit Replay(const ServerConfig& server) : file_(server.replay), redactor_(server) {}
  Result<void> read(const std::string& text);
  std::string key_of(const std::string& method, const Json& params) const;

  const std::string file_;
  const Redactor redactor_;
  std::vector<Exchange> exchanges_;
};

}  // namespace swarm::mcp
