// orchestrator/run/journal.h — The truth of a run: an append-only file of JSON lines,
//   {"v":1,"seq":7,"ts":"2026-11-21T03:44:31.123Z","type":"topology","data":{..},"sum":"<16 hex>"}
// seq counts from 0 without gaps. sum is FNV-1a (64 bit) of the line up to ,"sum", begun with that
// of the line before, so that lost, changed and swapped lines are found. A line is written before
// the effect it describes. One writer, one thread; writes go to the page cache (no thread needed),
// `step` also waits for the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/json.h"

namespace swarm::run {

inline constexpr int kJournalVersion = 1;

// async: every line is handed to the system at once. step: and flushed to the disk.
// off: lines wait in a buffer of at most 64 KiB.
enum class Sync : uint8_t { async, step, off };

class Journal {
  struct Token {};  // construction goes through create()

 public:
  Journal(Token, int file, std::string path, Sync sync, const Clock& clock);
  // Creates the file; it must not exist. clock outlives the journal.
  static Result<std::unique_ptr<Journal>> create(const std::string& path, Sync sync,
                                                 const Clock& clock);
  ~Journal();  // writes what is buffered
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Returns the line without its end. Throws ErrorException{environment} when it cannot be written;
  // from then on always: nothing may follow a line that was cut off.
  const std::string& append(std::string_view type, const Json& data);
  void flush();

 private:
  void write_out();

  int file_;
  std::string path_;
  Sync sync_;
  const Clock& clock_;
  uint64_t seq_ = 0;
  uint64_t sum_;
  std::string line_;
  std::string buffer_;
  std::string broken_;  // why a write failed
};

struct Event {
  uint64_t seq = 0;
  std::string ts;
  std::string type;
  Json data;
};

struct JournalContent {
  std::vector<Event> events;
  bool torn = false;          // the last line was cut off (a crash while writing)
};

// Verifies version, order and sums. Only the last line may be torn; anything else is an error that
// names the line.
Result<JournalContent> read_journal(const std::string& path);

// "2026-11-21T03:44:31.123Z".
std::string format_time(std::chrono::system_clock::time_point time);

}  // namespace swarm::run
