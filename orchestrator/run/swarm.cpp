#include "orchestrator/orchestrator.h"

#include <boost/asio/this_coro.hpp>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "engine/base/async/blocking.h"
#include "engine/base/async/channel.h"
#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/rng.h"
#include "orchestrator/config/node.h"
#include "orchestrator/run/asked.h"
#include "orchestrator/run/execute.h"
#include "orchestrator/run/guard.h"
#include "orchestrator/run/servers.h"
#include "orchestrator/run/toolbox.h"

namespace swarm::run {
namespace {

namespace fs = std::filesystem;

bool is_run_id(const std::string& text) {
  static constexpr const char* kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !text.empty() && text.size() <= 100 && text[0] != '.' &&
         text.find_first_not_of(kAllowed) == std::string::npos;
}

std::string hex(uint64_t value) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (int shift = 60; shift >= 0; shift -= 4) out += kDigits[(value >> shift) & 15];
  return out;
}

// "20261121-034431-9f3a01": sorts by time.
std::string make_id(const Clock& clock, uint64_t seed) {
  const std::string time = format_time(clock.wall());
  std::string id;
  for (char c : time.substr(0, 19))
    if (c >= '0' && c <= '9') id += c;
    else if (c == 'T') id += '-';
  const auto ns = static_cast<uint64_t>(clock.wall().time_since_epoch().count());
  return id + "-" + hex(mix_seed(ns, seed)).substr(0, 6);
}

std::string make_directory(const config::Config& config, const std::string& id) {
  if (!is_run_id(id))
    throw ErrorException(invalid_input("expected a run id of letters, digits, . _ and -, found \"" +
                                       id + "\""));
  const fs::path path = fs::path(config.journal_dir) / id;
  std::error_code failure;
  if (fs::exists(path / "journal.jsonl", failure))
    throw ErrorException(invalid_input("run \"" + id + "\" exists already"));
  fs::create_directories(path, failure);
  if (failure)
    throw ErrorException(environment_error("cannot create directory \"" + path.string() +
                                           "\": " + failure.message()));
  std::ofstream out(path / "swarm.yaml", std::ios::binary);
  out << config::to_yaml(config.document);
  if (!out) throw ErrorException(environment_error("cannot write \"" + path.string() + "\""));
  return path.string();
}

Sync to_sync(config::Sync sync) {
  return sync == config::Sync::step ? Sync::step
         : sync == config::Sync::off ? Sync::off
                                     : Sync::async;
}

class SwarmRun {
 public:
  SwarmRun(const config::Config& config, RunSettings settings, const Clock& clock, Log& log)
      : config_(config), settings_(std::move(settings)), clock_(clock), log_(log),
        meter_(config.limits) {
    result_.id = settings_.id.empty() ? make_id(clock, settings_.seed) : settings_.id;
    result_.directory = make_directory(config, result_.id);
    journal_ = Journal::create(result_.directory + "/journal.jsonl", to_sync(config.sync), clock)
                   .value();
    recorder_.emplace(*journal_, std::move(settings_.listener));
    const uint64_t trace = hash_text(result_.id);
    asked_.emplace(clock_, settings_.seed, *recorder_, meter_);
    servers_.emplace(config_, hex(trace) + hex(mix_seed(trace, 0)), clock_, *recorder_, *asked_,
                     log_);
  }

  Async<RunResult> run() {
    const TimePoint begin = clock_.now();
    record_start();
    Deadline deadline;
    if (config_.limits.wall) deadline = Deadline::after(clock_, *config_.limits.wall);
    std::exception_ptr failure;
    try {
      co_await with_deadline(work(deadline), deadline, clock_);
    } catch (...) {
      failure = std::current_exception();
    }
    // The end of the servers is awaited on every path; a cancelled coroutine could not await.
    co_await boost::asio::this_coro::throw_if_cancelled(false);
    if (!failure) result_.servers_missing = servers_->missing();
    co_await shielded(servers_->stop());
    if (failure) classify(failure);
    if (result_.ok) models_->warn_unused();
    result_.totals = meter_.totals();
    result_.wall = clock_.now() - begin;
    recorder_->event("run.end", to_json(result_));
    recorder_->flush();
    co_return result_;
  }

 private:
  void record_start() {
    Json tasks = Json::array();
    for (const config::TaskEntry& task : config_.tasks) tasks.push_back(task.name);
    recorder_->event("run.start", {{"run", result_.id},
                                   {"name", config_.name},
                                   {"definition", hex(hash_text(dump_json(config_.document)))},
                                   {"directory", config_.directory},
                                   {"working_directory", fs::current_path().string()},
                                   {"inputs", config_.recorded_inputs},
                                   {"tasks", tasks},
                                   {"seed", settings_.seed},
                                   {"versions", {{"swarm", settings_.version}}}});
  }

  Async<> work(Deadline deadline) {
    const Executor executor = co_await boost::asio::this_coro::executor;
    co_await open_models(executor);
    asked_->answer_with(models_->by_name(), settings_.elicit);
    // Servers that are late go on starting while the graph runs, at most until it has ended.
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      servers_->start(nursery, settings_.make_session);
      co_await servers_->until_settled();
      co_await open_toolbox();
      co_await work_on_graph(deadline);
      nursery.cancel();
    });
  }

  Async<> work_on_graph(Deadline deadline) {
    Environment environment{.config = config_,
                            .models = models_->by_name(),
                            .registry = registry_,
                            .recorder = *recorder_,
                            .meter = meter_,
                            .clock = clock_,
                            .seed = settings_.seed,
                            .on_progress = settings_.on_progress};
    const GraphOutcome outcome = co_await run_graph(environment, deadline);
    result_.ok = outcome.ok;
    result_.outcome = outcome.outcome;
    result_.error = outcome.error;
    result_.answer = outcome.answer;
    result_.best = outcome.best;
    result_.outputs = outcome.outputs;
    result_.rounds = outcome.rounds;
    result_.degraded = outcome.degraded;
    if (outcome.outcome == "timeout") {
      result_.kind = ErrorKind::timeout;
    } else if (meter_.model_lost()) {
      result_.kind = ErrorKind::environment;
    }
  }

  // The strand stays free meanwhile, so that Ctrl-C and limits.wall are heard: they stop it.
  Async<> open_models(Executor executor) {
    std::stop_source stop;
    Result<std::unique_ptr<ModelSet>> opened = failed("the models were not opened");
    BlockingPool pool(1);
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start([&]() -> Async<> {
        opened = co_await run_blocking(pool, [&] {
          return settings_.open_models(config_, executor, clock_, log_, stop.get_token());
        });
        nursery.cancel();
      });
      nursery.start([&]() -> Async<> {
        Channel<bool> never(1);
        try {
          co_await never.receive();
        } catch (...) {
          stop.request_stop();
          throw;
        }
      });
      co_return;
    });
    models_ = std::move(opened).value();
  }

  ToolboxParts toolbox() {
    return {.config = config_,
            .servers = *servers_,
            .more = settings_.tools,
            .make_http_get = settings_.make_http_get,
            .directory = result_.directory,
            .recorder = *recorder_,
            .log = log_};
  }

  Async<> open_toolbox() {
    fill_registry(registry_, toolbox());
    servers_->on_joined(
        [this](const std::string& server) { join_registry(registry_, toolbox(), server); });
    servers_->on_drifted([this](const std::string& server, std::span<const std::string> gone,
                                std::span<const std::string> changed) {
      drift_registry(registry_, toolbox(), server, gone, changed);
    });
    guard_.emplace(config_.policy.policy,
                   settings_.unattended.value_or(config_.policy.unattended), settings_.ask,
                   *recorder_);
    registry_.set_guard(&*guard_);
    co_await check_tools(registry_, config_);
  }

  void classify(const std::exception_ptr& failure) {
    result_.ok = false;
    result_.answer = nullptr;
    if (is_cancellation(failure)) {
      result_.outcome = "cancelled";
      result_.kind = ErrorKind::cancelled;
      result_.error = "cancelled";
      return;
    }
    try {
      std::rethrow_exception(failure);
    } catch (const ErrorException& e) {
      result_.kind = e.error().kind;
      result_.error = e.error().message;
    } catch (const std::exception& e) {
      result_.kind = ErrorKind::failed;
      result_.error = e.what();
    }
    result_.outcome = result_.kind == ErrorKind::budget    ? "budget"
                      : result_.kind == ErrorKind::timeout ? "timeout"
                                                           : "failed";
    if (result_.kind != ErrorKind::timeout) return;
    result_.kind = ErrorKind::budget;  // time is one: the run was cut, it did not fail
    result_.error = "limits.wall: " + result_.error;
  }

  const config::Config& config_;
  RunSettings settings_;
  const Clock& clock_;
  Log& log_;
  RunResult result_;
  std::unique_ptr<Journal> journal_;
  std::optional<Recorder> recorder_;
  Meter meter_;
  std::unique_ptr<ModelSet> models_;
  std::optional<Asked> asked_;     // outlives the sessions of the servers
  std::optional<Servers> servers_;
  std::optional<PolicyGuard> guard_;
  tools::Registry registry_;       // shares the tools of the sessions: leaves first
};

}  // namespace

Json to_json(const RunResult& result) {
  Json out{{"answer", result.answer},
           {"outcome", result.outcome},
           {"ok", result.ok},
           {"run", result.id},
           {"rounds", result.rounds},
           {"degraded", result.degraded}};
  if (!result.error.empty()) out["error"] = result.error;
  if (!result.best.is_null()) out["best"] = result.best;
  if (result.outputs.is_object() && !result.outputs.empty()) out["outputs"] = result.outputs;
  for (const auto& [server, why] : result.servers_missing) out["servers_missing"][server] = why;
  out["usage"] = to_json(result.totals);
  out["wall_ms"] = std::chrono::duration<double, std::milli>(result.wall).count();
  return out;
}

Async<RunResult> run_swarm(const config::Config& config, RunSettings settings, const Clock& clock,
                           Log& log) {
  SwarmRun run(config, std::move(settings), clock, log);
  co_return co_await run.run();
}

}  // namespace swarm::run
