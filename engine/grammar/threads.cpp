#include "engine/grammar/threads.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/rng.h"

namespace swarm::engine::grammar {
namespace {

uint64_t hash_frame(const Frame& frame) {
  const uint64_t below = frame.parent ? frame.parent->hash : 7;
  uint64_t hash = mix_seed(static_cast<uint64_t>(frame.target), below);
  hash = mix_seed(hash, static_cast<uint64_t>(frame.kind));
  for (const UsedKey* key = frame.used.get(); key != nullptr; key = key->next.get()) {
    hash = hash_text(key->text, hash);
  }
  return hash_text(frame.partial, hash);
}

Stack seal(Frame frame) {
  frame.hash = hash_frame(frame);
  return std::make_shared<const Frame>(std::move(frame));
}

bool same_keys(const UsedKeys& a, const UsedKeys& b) {
  const UsedKey* x = a.get();
  const UsedKey* y = b.get();
  for (; x != y; x = x->next.get(), y = y->next.get()) {
    if (x == nullptr || y == nullptr || x->text != y->text) return false;
  }
  return true;
}

bool holds(const Threads& threads, const Thread& thread) {
  return std::any_of(threads.begin(), threads.end(), [&](const Thread& other) {
    return other.state == thread.state && same_stack(other.stack, thread.stack);
  });
}

// Adds the thread unless it is there already or could not finish within the nesting limit.
void add(const Rtn& rtn, Threads& threads, Thread thread, StepMode mode, int32_t& peak) {
  const int32_t needs = depth_of(thread.stack) + rtn.need_of(thread.state);
  if (needs > mode.depth_max || holds(threads, thread)) return;
  peak = std::max(peak, needs);
  threads.push_back(std::move(thread));
}

}  // namespace

Thread enter(const Rtn& rtn, const Thread& thread, const CallEdge& call) {
  Stack frame = seal({.target = call.target,
                      .kind = rtn.rule(call.rule).kind,
                      .depth = depth_of(thread.stack) + rtn.weight(call.rule),
                      .parent = thread.stack,
                      .used = nullptr,
                      .partial = {}});
  return {rtn.rule(call.rule).start, std::move(frame)};
}

bool contains(const UsedKeys& keys, std::string_view text) {
  for (const UsedKey* key = keys.get(); key != nullptr; key = key->next.get()) {
    if (key->text == text) return true;
  }
  return false;
}

bool same_stack(const Stack& a, const Stack& b) {
  const Frame* x = a.get();
  const Frame* y = b.get();
  for (; x != y; x = x->parent.get(), y = y->parent.get()) {
    if (x == nullptr || y == nullptr || x->hash != y->hash || x->target != y->target) return false;
    if (x->kind != y->kind || x->partial != y->partial || !same_keys(x->used, y->used))
      return false;
  }
  return true;
}

Thread pop(const Thread& thread, std::string_view read) {
  const Frame& top = *thread.stack;
  if (top.kind != RuleKind::key) return {top.target, top.parent};
  SWARM_CHECK(top.parent != nullptr);
  Frame object = *top.parent;
  object.used = std::make_shared<const UsedKey>(UsedKey{std::string(read), object.used});
  return {top.target, seal(std::move(object))};
}

Closure close_over(const Rtn& rtn, const Threads& threads, StepMode mode) {
  Closure closure;
  for (const Thread& thread : threads) add(rtn, closure.threads, thread, mode, closure.peak);
  for (size_t i = 0; i < closure.threads.size(); ++i) {
    const Thread thread = closure.threads[i];
    for (const CallEdge& call : rtn.calls_of(thread.state)) {
      // The return must be able to finish too, at the depth it happens.
      const int32_t after = depth_of(thread.stack) + rtn.need_of(call.target);
      if (after > mode.depth_max) continue;
      closure.peak = std::max(closure.peak, after);
      add(rtn, closure.threads, enter(rtn, thread, call), mode, closure.peak);
    }
    if (!rtn.is_accepting(thread.state)) continue;
    if (thread.stack == nullptr) {
      closure.exit = true;
    } else {
      add(rtn, closure.threads, pop(thread, thread.stack->partial), mode, closure.peak);
    }
  }
  return closure;
}

Step step(const Rtn& rtn, const Closure& from, uint8_t byte, StepMode mode) {
  Step result;
  int32_t peak = 0;
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
        frame.partial += static_cast<char>(byte);
        if (done && contains(frame.parent->used, frame.partial)) continue;
        stack = seal(std::move(frame));
      }
    }
    add(rtn, result.threads, {next, std::move(stack)}, mode, peak);
  }
  return result;
}

Threads step_special(const Rtn& rtn, const Closure& from, TokenId token, StepMode mode) {
  Threads threads;
  int32_t peak = 0;
  for (const Thread& thread : from.threads) {
    for (const SpecialEdge& edge : rtn.specials_of(thread.state)) {
      if (edge.token == token) add(rtn, threads, {edge.target, thread.stack}, mode, peak);
    }
  }
  return threads;
}

}  // namespace swarm::engine::grammar
