// engine/engine.h — Model in, tokens out. One Engine per device; it owns weights, KV and the batch.
// Not thread-safe: exactly one thread calls submit, cancel, step. It is synchronous at heart, so
// that tests and simulation drive it by hand; a thin thread wraps it in production (EngineThread).
// submit() takes the whole prompt; the engine finds the cached prefix itself (radix tree over KV
// pages, shared by live sequences; identical prefixes in flight are computed once).
// Every accepted request ends with exactly one final Output that carries its report.
// Memory is claimed in open(); step() allocates nothing on the device.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/deadline.h"
#include "engine/base/error.h"
#include "engine/base/ids.h"
#include "engine/config.h"
#include "engine/sample/sampler.h"

namespace swarm::engine {

namespace grammar {
class Grammar;
}
namespace kernels {
class Accelerator;
}
class ChatCodec;

using RequestId = StrongId<struct RequestTag>;

// What the orchestrator knows about the future of a context. All optional.
struct KvHints {
  std::chrono::milliseconds keep_for{0};  // keep the pages at least so long after the end
  // From the end on pages inside the first N tokens are not evicted until unpin(pin_owner); as many
  // as leave room for a request as long as the context: a hint never makes another request fail.
  int32_t pin_prefix_tokens = 0;
  uint64_t pin_owner = 0;                 // who pins; several may pin the same pages
  bool drop = false;                      // free unshared pages at the end at once
};

struct Request {
  std::vector<TokenId> prompt = {};       // non-empty, prompt + 1 <= context
  SamplingParams sampling = {};
  std::shared_ptr<const grammar::Grammar> grammar = nullptr;  // null = free text
  std::vector<TokenId> stop_tokens = {};  // end the request; the stop token is not reported
  int32_t max_tokens = 256;               // new tokens at most, >= 1
  int32_t think_tokens_max = -1;          // reasoning budget; -1 = none; needs <think> tokens
  int32_t priority = 0;                   // higher first; equal: arrival order
  Deadline deadline = {};                 // passing it ends the request with Finish::deadline
  KvHints hints = {};
  bool prefill_only = false;              // prefetch: fill the cache, produce nothing
};

// stop, grammar_end: the model said all it wanted. length: the token budget or the context cut it
// off; a grammar-bound text was then closed with the shortest legal end (Report::closing_tokens):
// it is valid, but nobody meant that end. deadline, cancelled: cut off where it stood.
enum class Finish : uint8_t { none, stop, length, grammar_end, cancelled, deadline, failed };
std::string_view to_string(Finish finish);

// Where the time and the tokens of one request went.
struct Report {
  std::chrono::nanoseconds queue{0};      // submit to first step that computed something
  std::chrono::nanoseconds prefill{0};    // until the first token
  std::chrono::nanoseconds decode{0};     // after it
  int32_t prompt_tokens = 0;              // submitted
  int32_t cached_tokens = 0;              // found in the cache or computed by a twin in flight
  int32_t computed_tokens = 0;            // prompt tokens it computed (again, if preempted)
  int32_t output_tokens = 0;
  int32_t forced_tokens = 0;              // of the output: appended by the grammar, not sampled
  int32_t closing_tokens = 0;             // of the forced: the last ones, that closed a cut text
  int32_t preemptions = 0;
  int32_t batch_max = 0;                  // most sequences in one of its decode steps
  double batch_mean = 0;
};

// One new token, or the end. Valid until the next step().
struct Output {
  RequestId id = {};
  TokenId token = -1;                     // -1 in a final output without a token
  float logprob = 0;
  bool forced = false;
  bool closing = false;                   // see Report::closing_tokens
  std::vector<TokenLogprob> top = {};
  Finish finish = Finish::none;           // != none exactly once per request
  Report report = {};                     // filled when finish != none
  std::string error = {};                 // why, when finish == failed
  ErrorKind error_kind = ErrorKind::failed;   // environment: the device is lost, for good
};

struct EngineStats {
  int32_t running = 0;
  int32_t waiting = 0;
  int32_t pages_total = 0;
  int32_t pages_free = 0;
  int32_t pages_cached = 0;               // reusable, no live sequence
  uint64_t steps = 0;
  uint64_t prompt_tokens_submitted = 0;
  uint64_t prompt_tokens_cached = 0;
  uint64_t prompt_tokens_computed = 0;
  uint64_t output_tokens = 0;
  uint64_t forced_tokens = 0;
  uint64_t preemptions = 0;
  uint64_t evicted_pages = 0;
};

struct ModelInfo {
  std::string name;
  std::string architecture;
  std::string device;
  int32_t context = 0;
  int32_t vocab = 0;
  uint64_t weight_bytes = 0;
  uint64_t kv_bytes = 0;
  uint64_t bytes_per_token = 0;
  std::chrono::nanoseconds load{0};       // opening it took, weights repacked and on the device
  std::string memory = {};                // what was claimed, a line per group and the sum
};

class Engine {
  struct Impl;

 public:
  explicit Engine(std::unique_ptr<Impl> impl);   // what open() calls
  // clock outlives the engine. Loading takes a while; a requested stop ends it with
  // ErrorKind::cancelled. accelerator: what engine.device may name besides the CPU; null = nothing.
  static Result<std::unique_ptr<Engine>> open(const EngineConfig& config, const Clock& clock,
                                              std::stop_token stop = {},
                                              const kernels::Accelerator* accelerator = nullptr);
  ~Engine();

  // Refused with a reason: empty or too long prompt, bad parameter, full queue, cannot ever fit.
  Result<RequestId> submit(Request request);
  void cancel(RequestId id);              // idempotent; the last output says Finish::cancelled
  // The context `tokens` (of a request that ended, with its output) never goes on, nor does another
  // from behind its first `from` tokens: frees pages there that nobody else needs, kept or not.
  void forget(std::span<const TokenId> tokens, int32_t from);
  void unpin(uint64_t owner);             // lifts everything that its requests pinned
  // A new request that continues a live one from its current tokens, sharing its pages
  // copy-on-write. prompt and grammar of `request` are ignored: they are the parent's.
  Result<RequestId> fork(RequestId parent, Request request);
  // One batch: schedules, runs the model, samples. Same history -> same outputs. began is told,
  // before the model runs, of each request whose first tokens are computed in this step; it must
  // not call the engine.
  using Began = std::function<void(RequestId)>;
  std::span<const Output> step(const Began& began = {});
  bool idle() const;                      // nothing waiting or running
  EngineStats stats() const;
  const ModelInfo& info() const;

  // Text side: immutable and thread-safe, lives as long as the engine or longer.
  // Error when the model file has no usable tokenizer.
  Result<std::shared_ptr<const ChatCodec>> chat() const;

  void check_integrity() const;           // O(pages); run when idle and after every test

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace swarm::engine
