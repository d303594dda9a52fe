#include "orchestrator/cli/generation_batch.h"

#include <utility>

namespace swarm::cli {
namespace {

using engine::Engine;
using engine::Finish;
using engine::Output;
using engine::RequestId;

class Runner {
 public:
  Runner(Engine& engine, std::vector<GenerationEntry>& entries, const GenerationHooks& hooks)
      : engine_(engine), entries_(entries), hooks_(hooks) {}

  Result<void> run() {
    Result<void> outcome;
    bool cancelled = false;
    while (next_ < entries_.size() || !engine_.idle()) {
      if (!cancelled && outcome) outcome = submit();
      if (!cancelled && (!outcome || hooks_.interrupted())) {
        cancelled = true;
        cancel_all();
      }
      for (const Output& output : engine_.step()) take(output);
    }
    return outcome;
  }

 private:
  // As many as the queue takes.
  Result<void> submit() {
    while (next_ < entries_.size()) {
      engine::Request request = entries_[next_].request;
      auto id = engine_.submit(std::move(request));
      if (!id && id.error().kind == ErrorKind::overloaded && !engine_.idle()) return {};
      if (!id) return std::move(id).error();
      numbers_[*id] = next_++;
    }
    return {};
  }

  void cancel_all() {
    for (const auto& [id, number] : numbers_) engine_.cancel(id);
    for (; next_ < entries_.size(); ++next_) entries_[next_].finish = Finish::cancelled;
  }

  void take(const Output& output) {
    const size_t number = numbers_.at(output.id);
    GenerationEntry& entry = entries_[number];
    if (output.closing && !std::exchange(entry.cut, true)) entry.reader->cut();
    if (output.token >= 0) {
      const engine::ChatDelta delta = entry.reader->feed(output.token);
      if (hooks_.on_delta) hooks_.on_delta(number, delta);
    }
    if (output.finish == Finish::none) return;
    entry.reply = entry.reader->finish();
    entry.finish = output.finish;
    entry.report = output.report;
    entry.error = output.error;
    entry.error_kind = output.error_kind;
    numbers_.erase(output.id);
    if (hooks_.on_end) hooks_.on_end(number);
  }

  Engine& engine_;
  std::vector<GenerationEntry>& entries_;
  const GenerationHooks& hooks_;
  std::map<RequestId, size_t> numbers_;   // those that run
  size_t next_ = 0;
};

}  // namespace

Result<void> run_generation(Engine& engine, std::vector<GenerationEntry>& entries,
                            const GenerationHooks& hooks) {
  return Runner(engine, entries, hooks).run();
}

}  // namespace swarm::cli
