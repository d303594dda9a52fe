#include "orchestrator/run/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>

#include "engine/base/rng.h"

namespace swarm::run {
namespace {

constexpr size_t kBufferBytesMax = size_t{64} << 10;
constexpr std::string_view kSumKey = ",\"sum\":\"";
// The sum of the line before the first.
constexpr uint64_t kFirstSum = 14695981039346656037ull;

std::string hex16(uint64_t value) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out(16, '0');
  for (size_t i = 16; i-- > 0; value >>= 4) out[i] = kDigits[value & 15];
  return out;
}

std::string two(int value) { return (value < 10 ? "0" : "") + std::to_string(value); }

Error damaged(const std::string& path, size_t line, const std::string& what) {
  return Error{ErrorKind::invalid_input, "journal is damaged: " + what,
               {.file = path, .line = static_cast<int>(line)}};
}

// One line without its end; sum is carried from line to line.
Result<Event> parse_line(std::string_view line, const std::string& path, size_t number,
                         uint64_t& sum) {
  const size_t cut = line.rfind(kSumKey);
  if (cut == std::string_view::npos || line.size() != cut + kSumKey.size() + 18)
    return damaged(path, number, "a line without checksum");
  sum = hash_text(line.substr(0, cut), sum);
  if (line.substr(cut + kSumKey.size(), 16) != hex16(sum) || !line.ends_with("\"}"))
    return damaged(path, number, "checksum does not match");
  const Result<Json> json = parse_json(line);
  if (!json || !json->is_object()) return damaged(path, number, "not a JSON object");
  const Json& object = *json;
  for (const char* key : {"v", "seq", "ts", "type", "data"})
    if (!object.contains(key)) return damaged(path, number, std::string("no \"") + key + "\"");
  if (!object["seq"].is_number_unsigned() || !object["ts"].is_string() ||
      !object["type"].is_string() || !object["data"].is_object())
    return damaged(path, number, "a field of the wrong type");
  if (object["v"] != kJournalVersion)
    return Error{ErrorKind::unsupported,
                 "journal has version " + dump_json(object["v"]) + ", this program reads " +
                     std::to_string(kJournalVersion),
                 {.file = path, .line = static_cast<int>(number)}};
  return Event{object["seq"].get<uint64_t>(), object["ts"].get<std::string>(),
               object["type"].get<std::string>(), object["data"]};
}

}  // namespace

std::string format_time(std::chrono::system_clock::time_point time) {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
  const std::time_t seconds = static_cast<std::time_t>(since.count() / 1000);
  const int ms = static_cast<int>(since.count() % 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return std::to_string(utc.tm_year + 1900) + "-" + two(utc.tm_mon + 1) + "-" + two(utc.tm_mday) +
         "T" + two(utc.tm_hour) + ":" + two(utc.tm_min) + ":" + two(utc.tm_sec) + "." +
         (ms < 100 ? "0" : "") + two(ms) + "Z";
}

Result<std::unique_ptr<Journal>> Journal::create(const std::string& path, Sync sync,
                                                 const Clock& clock) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0)
    return environment_error("cannot create journal \"" + path + "\": " + std::strerror(errno));
  return std::make_unique<Journal>(Token{}, file, path, sync, clock);
}

Journal::Journal(Token, int file, std::string path, Sync sync, const Clock& clock)
    : file_(file), path_(std::move(path)), sync_(sync), clock_(clock), sum_(kFirstSum) {}

Journal::~Journal() {
  try {
    write_out();
  } catch (const ErrorException&) {
    // A destructor has nobody to tell; flush() before it reports.
  }
  ::close(file_);
}

const std::string& Journal::append(std::string_view type, const Json& data) {
  line_ = "{\"v\":" + std::to_string(kJournalVersion) + ",\"seq\":" + std::to_string(seq_++) +
          ",\"ts\":\"" + format_time(clock_.wall()) + "\",\"type\":" + dump_json(Json(type)) +
          ",\"data\":" + dump_json(data);
  sum_ = hash_text(line_, sum_);
  line_ += std::string(kSumKey) + hex16(sum_) + "\"}";
  buffer_ += line_ + "\n";
  if (sync_ != Sync::off || buffer_.size() >= kBufferBytesMax) write_out();
  if (sync_ == Sync::step && ::fdatasync(file_) != 0)
    throw ErrorException(environment_error("cannot write journal \"" + path_ +
                                           "\": " + std::strerror(errno)));
  return line_;
}

void Journal::flush() { write_out(); }

void Journal::write_out() {
  const auto fail = [this] {
    throw ErrorException(environment_error("cannot write journal \"" + path_ + "\": " + broken_));
  };
  if (!broken_.empty()) fail();
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t wrote = ::write(file_, buffer_.data() + done, buffer_.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) {
      broken_ = std::strerror(errno);
      buffer_.clear();
      fail();
    }
    done += static_cast<size_t>(wrote);
  }
  buffer_.clear();
}

Result<JournalContent> read_journal(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return environment_error("cannot read journal \"" + path + "\"");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  JournalContent content;
  uint64_t sum = kFirstSum;
  std::string_view rest = text;
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) {
      content.torn = true;
      break;
    }
    SWARM_TRY(Event event, parse_line(rest.substr(0, end), path, number, sum));
    if (event.seq != content.events.size())
      return damaged(path, number, "expected seq " + std::to_string(content.events.size()));
    content.events.push_back(std::move(event));
    rest.remove_prefix(end + 1);
  }
  return content;
}

}  // namespace swarm::run
