#include "engine/grammar/threads.h"

#include <algorithm>
#include <unordered_map>

#include "engine/base/check.h"
#include "engine/base/rng.h"

namespace swarm::engine::grammar {
namespace {

uint64_t hash_frame(const Frame& frame) {
  const uint64_t below = frame.parent ? frame.parent->hash : 7;
  uint64_t hash = mix_seed(static_cast<uint64_t>(frame.target), below);
  hash = mix_seed(hash, static_cast<uint64_t>(frame.kind));
  return mix_seed(mix_seed(hash, frame.used.hash()), frame.partial.hash());
}

Stack seal(Frame frame) {
  frame.hash = hash_frame(frame);
  return std::make_shared<const Frame>(std::move(frame));
}

bool same_thread(const Thread& a, const Thread& b) {
  return a.state == b.state && same_stack(a.stack, b.stack);
}

// Threads without repetition, in the order of adding. Small sets are searched as they are, larger
// ones through an index of hashes.
class Collector {
 public:
  Collector(const Rtn& rtn, StepMode mode) : rtn_(rtn), mode_(mode) {}

  // Adds the thread unless it is there already or could not finish within the nesting limit.
  void add(Thread thread) {
    const int32_t needs = depth_of(thread.stack) + rtn_.need_of(thread.state);
    if (needs > mode_.depth_max || holds(thread)) return;
    peak = std::max(peak, needs);
    threads.push_back(std::move(thread));
    if (threads.size() < kIndexed) return;
    for (; indexed_ < threads.size(); ++indexed_) index_.emplace(key(threads[indexed_]), indexed_);
  }

  Threads threads;
  int32_t peak = 0;

 private:
  static constexpr size_t kIndexed = 32;

  static uint64_t key(const Thread& thread) {
    return mix_seed(static_cast<uint64_t>(thread.state), thread.stack ? thread.stack->hash : 0);
  }
  bool holds(const Thread& thread) const {
    if (threads.size() < kIndexed) {
      return std::any_of(threads.begin(), threads.end(),
                         [&](const Thread& other) { return same_thread(other, thread); });
    }
    const auto [first, last] = index_.equal_range(key(thread));
    return std::any_of(first, last, [&](const auto& entry) {
      return same_thread(threads[entry.second], thread);
    });
  }

  const Rtn& rtn_;
  const StepMode mode_;
  size_t indexed_ = 0;
  std::unordered_multimap<uint64_t, size_t> index_;
};

// More threads than this are followed in parts, one after the other.
constexpr size_t kReadAtOnce = 4 * kThreadsMax;

void read_on(const Rtn& rtn, Threads threads, std::string_view bytes, Collector& out) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    threads = step(rtn, close_over(rtn, threads, {}), static_cast<uint8_t>(bytes[i]), {}).threads;
    if (threads.size() <= kReadAtOnce || i + 1 == bytes.size()) continue;
    for (size_t at = 0; at < threads.size() && out.threads.size() < kThreadsMax;
         at += kThreadsMax) {
      const auto first = threads.begin() + static_cast<ptrdiff_t>(at);
      const size_t count = std::min(kThreadsMax, threads.size() - at);
      read_on(rtn, {first, first + static_cast<ptrdiff_t>(count)}, bytes.substr(i + 1), out);
    }
    return;
  }
  for (Thread& thread : threads) {
    if (out.threads.size() < kThreadsMax) out.add(std::move(thread));
  }
}

}  // namespace

Threads read(const Rtn& rtn, const Threads& threads, std::string_view bytes) {
  Collector out(rtn, {});
  read_on(rtn, threads, bytes, out);
  return std::move(out.threads);
}

Thread enter(const Rtn& rtn, const Thread& thread, const CallEdge& call) {
  Stack frame = seal({.target = call.target,
                      .kind = rtn.rule(call.rule).kind,
                      .depth = depth_of(thread.stack) + rtn.weight(call.rule),
                      .parent = thread.stack,
                      .used = {},
                      .partial = {}});
  return {rtn.rule(call.rule).start, std::move(frame)};
}

bool same_stack(const Stack& a, const Stack& b) {
  const Frame* x = a.get();
  const Frame* y = b.get();
  for (; x != y; x = x->parent.get(), y = y->parent.get()) {
    if (x == nullptr || y == nullptr || x->hash != y->hash || x->target != y->target) return false;
    if (x->kind != y->kind || x->partial != y->partial || x->used != y->used) return false;
  }
  return true;
}

Thread pop(const Thread& thread, std::string_view rest) {
  const Frame& top = *thread.stack;
  if (top.kind != RuleKind::key) return {top.target, top.parent};
  SWARM_CHECK(top.parent != nullptr);
  Frame object = *top.parent;
  KeyText key = top.partial;
  key.append(rest);
  object.used = object.used.with(std::move(key));
  return {top.target, seal(std::move(object))};
}

Closure close_over(const Rtn& rtn, const Threads& threads, StepMode mode) {
  Closure closure;
  Collector found(rtn, mode);
  for (const Thread& thread : threads) found.add(thread);
  for (size_t i = 0; i < found.threads.size(); ++i) {
    const Thread thread = found.threads[i];
    for (const CallEdge& call : rtn.calls_of(thread.state)) {
      // The return must be able to finish too, at the depth it happens.
      const int32_t after = depth_of(thread.stack) + rtn.need_of(call.target);
      if (after > mode.depth_max) continue;
      found.peak = std::max(found.peak, after);
      found.add(enter(rtn, thread, call));
    }
    if (!rtn.is_accepting(thread.state)) continue;
    if (thread.stack == nullptr) {
      closure.exit = true;
    } else {
      found.add(pop(thread));
    }
  }
  closure.threads = std::move(found.threads);
  closure.peak = found.peak;
  return closure;
}

Step step(const Rtn& rtn, const Closure& from, uint8_t byte, StepMode mode) {
  Step result;
  Collector found(rtn, mode);
  const size_t cls = rtn.class_of[byte];
  for (const Thread& thread : from.threads) {
    const StateId next = rtn.next(thread.state, cls);
    if (next == kNoState) continue;
    Stack stack = thread.stack;
    if (stack && stack->kind == RuleKind::key) {
      const bool done = rtn.is_accepting(next);
      if (mode.relative) {
        result.key_done |= done;
        if (done) continue;
      } else {
        Frame frame = *stack;
        frame.partial.push(static_cast<char>(byte));
        if (done && frame.parent->used.contains(frame.partial)) continue;
        stack = seal(std::move(frame));
      }
    }
    found.add({next, std::move(stack)});
  }
  result.threads = std::move(found.threads);
  return result;
}

Threads step_special(const Rtn& rtn, const Closure& from, TokenId token, StepMode mode) {
  Collector found(rtn, mode);
  for (const Thread& thread : from.threads) {
    for (const SpecialEdge& edge : rtn.specials_of(thread.state)) {
      if (edge.token == token) found.add({edge.target, thread.stack});
    }
  }
  return std::move(found.threads);
}

}  // namespace swarm::engine::grammar
