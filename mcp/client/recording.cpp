#include "mcp/client/recording.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include "engine/base/async/nursery.h"
#include "mcp/config/private_file.h"
#include "mcp/message/json_member.h"
#include "mcp/message/rpc_error.h"

namespace swarm::mcp {
namespace {

constexpr int kRecordingFormat = 1;

Json without(Json object, const char* member) {
  if (object.is_object()) object.erase(member);
  return object;
}

}  // namespace

// ---- Writing.

Recorder::Recorder(int fd, Redactor redactor, std::string server)
    : fd_(fd), redactor_(std::move(redactor)), server_(std::move(server)) {}

Recorder::~Recorder() { ::close(fd_); }

Result<std::shared_ptr<Recorder>> Recorder::create(const ServerConfig& server) {
  const auto created = create_private_file(server.record);
  if (!created)
    return environment_error("cannot record to \"" + server.record + "\": " +
                             std::strerror(errno));
  // shared: the client, and each of its connections
  auto out = std::make_shared<Recorder>(*created, Redactor(server), server.name);
  out->write(Json{{"swarm_mcp_recording", kRecordingFormat}, {"server", server.name}});
  return out;
}

void Recorder::write(const Json& line) {
  if (!write_all(fd_, dump_json(line) + "\n"))
    throw ErrorException(environment_error(std::string("the recording cannot be written: ") +
                                           std::strerror(errno)));
}

int64_t Recorder::request(const std::string& method, const Json& params) {
  write(Json{{"request", ++last_}, {"method", method},
             {"params", redactor_.json(without(params, "_meta"))}});
  return last_;
}

void Recorder::progress(int64_t request, const Json& params) {
  write(Json{{"progress", request}, {"params", redactor_.json(without(params, "progressToken"))}});
}

void Recorder::result(int64_t request, const Json& result) {
  write(Json{{"outcome", request}, {"result", redactor_.json(result)}});
}

void Recorder::failure(int64_t request, const std::exception_ptr& failure) {
  Json line = Json::object();
  line["outcome"] = request;
  if (is_cancellation(failure)) {
    line["cancelled"] = true;
    return write(line);
  }
  try {
    std::rethrow_exception(failure);
  } catch (const RpcException& e) {
    const RpcError& details = e.details();
    line["refused"] = Json{{"code", details.code},
                           {"http_status", details.http_status},
                           {"text", redactor_.text(details.text)},
                           {"data", redactor_.json(details.data)},
                           {"session_lost", details.session_lost}};
  } catch (const ErrorException& e) {
    const std::string prefix = "mcp server \"" + server_ + "\": ";
    std::string text = e.error().message;
    if (text.starts_with(prefix)) text = text.substr(prefix.size());
    const bool late = e.error().kind == ErrorKind::timeout;
    line["problem"] =
        Json{{"kind", late ? "timeout" : "environment"}, {"text", redactor_.text(text)}};
  }
  write(line);
}

void Recorder::notice(const std::string& method, const Json& params) {
  write(Json{{"notice", method}, {"params", redactor_.json(params)}});
}

void Recorder::asked(const std::string& method, const Json& id, const Json& params) {
  write(Json{{"asked", method}, {"id", id}, {"params", redactor_.json(params)}});
}

void Recorder::gone(const std::string& reason) {
  write(Json{{"gone", redactor_.text(reason)}});
}

// ---- Reading.

Result<std::shared_ptr<Replay>> Replay::load(const ServerConfig& server) {
  std::ifstream in(server.replay, std::ios::binary);
  if (!in) return environment_error("cannot read the recording \"" + server.replay + "\"");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  // shared: the client, and each of its connections
  const std::shared_ptr<Replay> out(std::make_unique<Replay>(Replay(server)));
  SWARM_TRY_VOID(out->read(text));
  return out;
}

Result<void> Replay::read(const std::string& text) {
  std::map<int64_t, size_t> by_number;
  std::istringstream lines(text);
  std::string line;
  using Kind = Step::Kind;
  const std::pair<const char*, Kind> kinds[] = {
      {"progress", Kind::progress}, {"notice", Kind::notice},   {"asked", Kind::asked},
      {"gone", Kind::gone},         {"result", Kind::result},   {"refused", Kind::refused},
      {"problem", Kind::problem},   {"cancelled", Kind::cancelled}};
  size_t last = 0;                         // what is nobody's belongs to the latest exchange
  for (int number = 1; std::getline(lines, line); ++number) {
    const std::string place = file_ + ":" + std::to_string(number);
    SWARM_TRY(Json one, parse_json(line, place));
    const auto wrong = [&](const char* expected) {
      return invalid_input(place + ": expected " + expected);
    };
    if (!one.is_object()) return wrong("an object");
    if (number == 1) {
      if (!one.contains("swarm_mcp_recording") || one["swarm_mcp_recording"] != kRecordingFormat)
        return wrong("a recording of version 1");
      continue;
    }
    const bool begins = one.contains("request");
    const Json which = begins                     ? one["request"]
                       : one.contains("outcome")  ? one["outcome"]
                       : one.contains("progress") ? one["progress"]
                                                  : Json();
    if (begins) {
      if (!which.is_number_integer() || !one.contains("params")) return wrong("a request");
      const std::string method = text_member(one, "method");
      last = by_number[which.get<int64_t>()] = exchanges_.size();
      exchanges_.push_back({.method = method, .key = key_of(method, one["params"]), .steps = {}});
      continue;
    }
    if (!which.is_null()) {
      const auto found = which.is_number_integer() ? by_number.find(which.get<int64_t>())
                                                   : by_number.end();
      if (found == by_number.end()) return wrong("the number of an earlier request");
      last = found->second;
    }
    const auto kind = std::find_if(std::begin(kinds), std::end(kinds),
                                   [&](const auto& k) { return one.contains(k.first); });
    if (kind == std::end(kinds) || exchanges_.empty()) return wrong("a line of a recording");
    exchanges_[last].steps.push_back({.kind = kind->second, .line = std::move(one)});
  }
  return {};
}

// What must be equal. How we introduce ourselves may change between versions of this program.
std::string Replay::key_of(const std::string& method, const Json& params) const {
  if (method == "initialize" || method == "server/discover") return method;
  const Json kept = redactor_.json(without(params, "_meta"));
  return method + "\n" + nlohmann::json::parse(dump_json(kept)).dump();  // sorted members
}

const Replay::Exchange* Replay::take(const std::string& method, const Json& params) {
  const std::string key = key_of(method, params);
  for (Exchange& exchange : exchanges_) {
    if (exchange.used || exchange.key != key) continue;
    exchange.used = true;
    return &exchange;
  }
  return nullptr;
}

size_t Replay::unused() const {
  size_t count = 0;
  for (const Exchange& exchange : exchanges_) count += exchange.used ? 0 : 1;
  return count;
}

}  // namespace swarm::mcp
