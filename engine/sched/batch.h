// engine/sched/batch.h — What one step computes. Plain data, valid until the next plan().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/kv/page_table.h"
#include "engine/sched/sequence.h"

namespace swarm::engine::sched {

// tokens[first, first + count) of one sequence.
struct Chunk {
  SequenceId id = 0;
  int32_t first = 0;
  int32_t count = 0;
  bool reaches_end = false;           // the newest token is in it: its logits choose the next one
  bool decode = false;
};

struct Admission {
  SequenceId id = 0;
  int32_t cached_tokens = 0;
};

struct Refusal {
  SequenceId id = 0;
  std::string reason;
};

struct StepPlan {
  std::vector<kv::PageCopy> copies;   // to be carried out in order, before the forward pass
  std::vector<Chunk> chunks;
  std::vector<Admission> admitted;
  std::vector<SequenceId> preempted;
  std::vector<Refusal> impossible;    // pinned pages leave no room; the caller must finish them
  int32_t decode_count = 0;           // decoding sequences in this step
};

}  // namespace swarm::engine::sched
