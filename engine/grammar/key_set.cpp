#include "engine/grammar/key_set.h"

#include <algorithm>
#include <utility>

#include "engine/base/rng.h"

namespace swarm::engine::grammar {
KeyText::Chunk::Chunk(std::string text, std::shared_ptr<Chunk> older)
    : bytes(std::move(text)), before(std::move(older)) {}

KeyText::Chunk::~Chunk() {
  // Alone with it, nobody else can begin to hold it; so it may be emptied before it is freed.
  while (before && before.use_count() == 1) before = std::exchange(before->before, nullptr);
}

void KeyText::push(char byte) {
  hash_ = hash_text({&byte, 1}, hash_);
  ++size_;
  tail_ += byte;
  if (tail_.size() < kChunkBytes) return;
  full_ = std::make_shared<Chunk>(std::exchange(tail_, {}), std::move(full_));
}

std::string KeyText::text() const {
  std::string out(size_, '\0');
  size_t at = size_ - tail_.size();
  std::copy(tail_.begin(), tail_.end(), out.begin() + static_cast<ptrdiff_t>(at));
  for (const Chunk* chunk = full_.get(); chunk != nullptr; chunk = chunk->before.get()) {
    at -= chunk->bytes.size();
    std::copy(chunk->bytes.begin(), chunk->bytes.end(), out.begin() + static_cast<ptrdiff_t>(at));
  }
  return out;
}

bool KeyText::operator==(const KeyText& other) const {
  if (size_ != other.size_ || hash_ != other.hash_ || tail_ != other.tail_) return false;
  const Chunk* a = full_.get();
  const Chunk* b = other.full_.get();
  for (; a != b; a = a->before.get(), b = b->before.get()) {
    if (a->bytes != b->bytes) return false;    // equal sizes: both chains end together
  }
  return true;
}

std::vector<std::string_view> KeyText::pieces() const {
  std::vector<std::string_view> pieces(size_ / kChunkBytes + 1, tail_);
  size_t at = pieces.size() - 1;
  for (const Chunk* chunk = full_.get(); chunk != nullptr; chunk = chunk->before.get()) {
    pieces[--at] = chunk->bytes;
  }
  return pieces;
}

// Pieces are cut at the same places in both, so that they are compared pair by pair.
int KeyText::compare(const KeyText& other, size_t most) const {
  if (!full_ && !other.full_) return std::string_view(tail_).substr(0, most).compare(other.tail_);
  const auto mine = pieces(), theirs = other.pieces();
  for (size_t i = 0;; ++i) {
    const std::string_view piece = mine[i].substr(0, most);
    const int order = piece.compare(theirs[i]);
    if (order != 0 || piece.size() < kChunkBytes) return order;
    most -= kChunkBytes;     // equal full pieces: both texts have a next one, if an empty one
  }
}

bool KeySet::contains(const KeyText& key) const {
  if (key.size() > longest()) return false;
  for (const Node* node = root_.get(); node != nullptr;) {
    const int order = key.compare(*node->key);
    if (order == 0) return true;
    node = (order < 0 ? node->left : node->right).get();
  }
  return false;
}

KeySet KeySet::with(KeyText key) const {
  if (contains(key)) return *this;
  Node added;
  added.key_hash = mix_seed(key.hash(), key.size());
  added.key = std::make_shared<const KeyText>(std::move(key));
  KeySet set;
  set.root_ = insert(root_, added);
  return set;
}

KeySet::Tree KeySet::make(const Node& top, Tree left, Tree right) {
  Node node;
  node.key = top.key;
  node.key_hash = node.hash = top.key_hash;
  node.count = 1;
  node.longest = top.key->size();
  for (const Node* child : {left.get(), right.get()}) {
    if (child == nullptr) continue;
    node.count += child->count;
    node.longest = std::max(node.longest, child->longest);
    node.hash += child->hash;
  }
  node.left = std::move(left);
  node.right = std::move(right);
  return std::make_shared<const Node>(std::move(node));
}

bool KeySet::precedes(const Node& a, const Node& b) {
  if (a.key_hash != b.key_hash) return a.key_hash > b.key_hash;
  return a.key->compare(*b.key) < 0;
}

KeySet::Tree KeySet::insert(const Tree& tree, const Node& added) {
  if (!tree || precedes(added, *tree)) {
    Halves halves = split(tree, *added.key);
    return make(added, std::move(halves.below), std::move(halves.above));
  }
  const bool below = added.key->compare(*tree->key) < 0;
  if (below) return make(*tree, insert(tree->left, added), tree->right);
  return make(*tree, tree->left, insert(tree->right, added));
}

// key itself is not in the tree.
KeySet::Halves KeySet::split(const Tree& tree, const KeyText& key) {
  if (!tree) return {};
  if (key.compare(*tree->key) < 0) {
    Halves halves = split(tree->left, key);
    halves.above = make(*tree, std::move(halves.above), tree->right);
    return halves;
  }
  Halves halves = split(tree->right, key);
  halves.below = make(*tree, tree->left, std::move(halves.below));
  return halves;
}

// Equal sets have equal shapes; what they share is not looked into.
bool KeySet::same(const Node* a, const Node* b) {
  if (a == b) return true;
  if (a == nullptr || b == nullptr || a->count != b->count || a->hash != b->hash) return false;
  return *a->key == *b->key && same(a->left.get(), b->left.get()) &&
         same(a->right.get(), b->right.get());
}

// Where a key stands to those that begin with prefix: -1 before them, 0 one of them, 1 after.
int KeySet::place(const Node& node, const KeyText& prefix) {
  const int order = node.key->compare(prefix, prefix.size());
  return order < 0 ? -1 : order > 0 ? 1 : 0;
}

size_t KeySet::count_with_prefix(const KeyText& prefix) const {
  // Keys up to and including `last` places, counted along one path.
  const auto count_up_to = [&](int last) {
    size_t count = 0;
    for (const Node* node = root_.get(); node != nullptr;) {
      if (place(*node, prefix) <= last) {
        count += 1 + (node->left ? node->left->count : 0);
        node = node->right.get();
      } else {
        node = node->left.get();
      }
    }
    return count;
  };
  return count_up_to(0) - count_up_to(-1);
}

void KeySet::visit(const Node* node, const KeyText& prefix,
                   const std::function<void(const std::string&)>& use) {
  if (node == nullptr) return;
  const int at = place(*node, prefix);
  if (at >= 0) visit(node->left.get(), prefix, use);
  if (at == 0) use(node->key->text());
  if (at <= 0) visit(node->right.get(), prefix, use);
}

void KeySet::visit_with_prefix(const KeyText& prefix,
                               const std::function<void(const std::string&)>& use) const {
  visit(root_.get(), prefix, use);
}

}  // namespace swarm::engine::grammar
