// engine/grammar/threads.h — Where a text may stand in a network: a set of threads, each a state
// and the stack of rules it must still return to. Frames are immutable and shared between threads
// and matchers; copying a set is cheap. Functions are pure and may run on any thread.
// The same code steps whole texts (absolute) and texts that begin in the middle of an unknown stack
// (relative: the stack below the base is unknown, and so are the keys already used there).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/grammar/rtn.h"

namespace swarm::engine::grammar {

// Additional keys an object has so far, newest first. Keys are canonical JSON with the closing
// quote, so equal keys are equal bytes.
struct UsedKey {
  std::string text;
  std::shared_ptr<const UsedKey> next;
};
using UsedKeys = std::shared_ptr<const UsedKey>;
bool contains(const UsedKeys& keys, std::string_view text);

// One call that has not returned. Owned by the threads and frames above it.
struct Frame {
  StateId target = kNoState;  // where to go on after the return
  RuleKind kind = RuleKind::plain;
  int32_t depth = 0;  // containers open, this one included
  std::shared_ptr<const Frame> parent;
  UsedKeys used;        // of the container this frame stands for
  std::string partial;  // kind key: what has been read of it
  uint64_t hash = 0;    // of everything above
};
using Stack = std::shared_ptr<const Frame>;

struct Thread {
  StateId state = kNoState;
  Stack stack;  // nullptr: the root rule, or the base of a relative thread
};
using Threads = std::vector<Thread>;

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

// After the special token; empty if no thread reads it here.
Threads step_special(const Rtn& rtn, const Closure& from, TokenId token, StepMode mode);

// Enters the called rule.
Thread enter(const Rtn& rtn, const Thread& thread, const CallEdge& call);

// Leaves the innermost rule. read: what a key frame has read, its closing quote included.
Thread pop(const Thread& thread, std::string_view read = {});

}  // namespace swarm::engine::grammar
