// engine/grammar/threads.h — Where a text may stand in a network: a set of threads, each a state
// and the stack of rules it must still return to. Frames are immutable and shared between threads
// and matchers; copying a set is cheap. Functions are pure and may run on any thread.
// The same code steps whole texts (absolute) and texts that begin in the middle of an unknown stack
// (relative: the stack below the base is unknown, and so are the keys already used there).
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "engine/grammar/key_set.h"
#include "engine/grammar/rtn.h"

namespace swarm::engine::grammar {

// One call that has not returned. Owned by the threads and frames above it.
struct Frame {
  StateId target = kNoState;  // where to go on after the return
  RuleKind kind = RuleKind::plain;
  int32_t depth = 0;  // containers open, this one included
  std::shared_ptr<const Frame> parent;
  // Additional keys so far of the container this frame stands for: canonical JSON with the closing
  // quote, so equal keys are equal bytes.
  KeySet used;
  KeyText partial;    // kind key: what has been read of it
  uint64_t hash = 0;  // of everything above
};
using Stack = std::shared_ptr<const Frame>;

struct Thread {
  StateId state = kNoState;
  Stack stack;  // nullptr: the root rule, or the base of a relative thread
};
using Threads = std::vector<Thread>;
// An ambiguous recursive schema can double the threads with every level. Beyond this many the later
// ones are given up between tokens: what is left is a part of the language and can still finish.
inline constexpr size_t kThreadsMax = 64;

bool same_stack(const Stack& a, const Stack& b);
inline int32_t depth_of(const Stack& stack) { return stack ? stack->depth : 0; }

struct StepMode {
  int32_t depth_max = kDepthMax;
  bool relative = false;
};

// A set with every call entered and every finished rule left.
struct Closure {
  Threads threads;
  bool exit = false;  // the base rule may end here
  int32_t peak = 0;   // deepest nesting any of the threads needs, from the base
};
Closure close_over(const Rtn& rtn, const Threads& threads, StepMode mode);

struct Step {
  Threads threads;
  // Relative only: a key was completed whose siblings are unknown; threads has no such thread.
  bool key_done = false;
};
Step step(const Rtn& rtn, const Closure& from, uint8_t byte, StepMode mode);

// After all of the bytes: at most kThreadsMax threads, none exactly if no thread reads them. Where
// the ways multiply it follows them in parts, so that memory stays bounded.
Threads read(const Rtn& rtn, const Threads& threads, std::string_view bytes);

// After the special token; empty if no thread reads it here.
Threads step_special(const Rtn& rtn, const Closure& from, TokenId token, StepMode mode);

// Enters the called rule.
Thread enter(const Rtn& rtn, const Thread& thread, const CallEdge& call);

// Leaves the innermost rule. rest: what a key still reads after its frame's `partial`.
Thread pop(const Thread& thread, std::string_view rest = {});

}  // namespace swarm::engine::grammar
