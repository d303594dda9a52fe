// engine/text/bpe.h — Byte-pair merges of one piece: repeatedly joins the adjacent pair of lowest
// rank (leftmost on ties) until none is left. O(n log n) in the length of the piece.
// A MergeTable is immutable after building and safe to share; a MergeScratch belongs to one call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace swarm::engine::text {

struct Merge {
  int32_t left = 0;
  int32_t right = 0;
  int32_t joined = 0;  // rank = index in the list: earlier merges win
};

class MergeTable {
 public:
  struct Hit {
    int32_t rank = 0;
    int32_t joined = 0;
  };
  MergeTable() = default;
  // When a pair is listed twice the first counts.
  explicit MergeTable(const std::vector<Merge>& merges);
  std::optional<Hit> find(int32_t left, int32_t right) const;

 private:
  struct Slot {
    uint64_t key = kEmpty;
    Hit hit;
  };
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  size_t first_slot(uint64_t key) const;
  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
};

// Buffers reused from piece to piece.
struct MergeScratch {
  struct Symbol {
    int32_t id = 0;
    int32_t previous = -1;
    int32_t next = -1;  // kGone when joined into its left neighbour
  };
  struct Candidate {
    int32_t rank = 0;
    int32_t position = 0;
    int32_t left = 0;
    int32_t right = 0;
    int32_t joined = 0;
  };
  std::vector<Symbol> symbols;
  std::vector<Candidate> queue;
};

// ids: the tokens of the single bytes of the piece; replaced by the merged tokens.
void merge_piece(const MergeTable& table, std::vector<int32_t>& ids, MergeScratch& scratch);

}  // namespace swarm::engine::text
