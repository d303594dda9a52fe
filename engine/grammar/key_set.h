// engine/grammar/key_set.h — Additional keys of one object, and a key while it is being read, as
// values that share what they have in common: a matcher and its copies, and the threads inside one,
// hold thousands of nearly equal ones. Immutable once shared, so any thread may read them.
// A set is a treap whose priorities are hashes of its keys (R. Seidel and C. Aragon): its shape
// depends on the keys alone, adding takes log n, and neither walking nor freeing it is deep.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace swarm::engine::grammar {

// Text that grows by single bytes; a copy shares all but the last few bytes.
class KeyText {
 public:
  KeyText() = default;
  template <std::convertible_to<std::string_view> Text>
  KeyText(const Text& whole) { append(whole); }
  void push(char byte);
  void append(std::string_view text) {
    for (const char byte : text) push(byte);
  }
  size_t size() const { return size_; }
  uint64_t hash() const { return hash_; }
  std::string text() const;          // O(size)
  bool operator==(const KeyText& other) const;
  // As std::string::compare; of the first `most` bytes of this one.
  int compare(const KeyText& other, size_t most = SIZE_MAX) const;

 private:
  static constexpr size_t kChunkBytes = 256;
  struct Chunk {
    std::string bytes;
    std::shared_ptr<Chunk> before;
    Chunk(std::string text, std::shared_ptr<Chunk> older);
    ~Chunk();                        // a long chain is freed in a loop
    Chunk(const Chunk&) = delete;
    Chunk& operator=(const Chunk&) = delete;
  };

  std::vector<std::string_view> pieces() const;   // oldest first, all but the last kChunkBytes

  std::shared_ptr<Chunk> full_;      // newest first; never changed once here
  std::string tail_;
  size_t size_ = 0;
  uint64_t hash_ = 14695981039346656037ull;
};

class KeySet {
 public:
  bool contains(const KeyText& key) const;   // O(1) for one longer than any here
  KeySet with(KeyText key) const;            // O(log n)
  size_t size() const { return root_ ? root_->count : 0; }
  size_t longest() const { return root_ ? root_->longest : 0; }
  uint64_t hash() const { return root_ ? root_->hash : 0; }
  bool operator==(const KeySet& other) const { return same(root_.get(), other.root_.get()); }

  size_t count_with_prefix(const KeyText& prefix) const;   // O(log n)
  void visit_with_prefix(const KeyText& prefix,
                         const std::function<void(const std::string&)>& use) const;

 private:
  struct Node;
  using Tree = std::shared_ptr<const Node>;
  struct Node {
    std::shared_ptr<const KeyText> key;
    uint64_t key_hash = 0;
    Tree left, right;
    // Of the whole subtree.
    size_t count = 0;
    size_t longest = 0;
    uint64_t hash = 0;                // a sum: does not depend on the order of adding
  };
  struct Halves {
    Tree below, above;
  };

  static Tree make(const Node& top, Tree left, Tree right);
  static Tree insert(const Tree& tree, const Node& added);
  static Halves split(const Tree& tree, const KeyText& key);
  static bool same(const Node* a, const Node* b);
  static bool precedes(const Node& a, const Node& b);        // nearer to the root
  static int place(const Node& node, const KeyText& prefix);
  static void visit(const Node* node, const KeyText& prefix,
                    const std::function<void(const std::string&)>& use);

  Tree root_;
};

}  // namespace swarm::engine::grammar
