#include <algorithm>
#include <iterator>
#include <numeric>

#include "agents/agent.h"
#include "agents/text.h"

namespace swarm::agents {
namespace {

constexpr std::string_view kOwn = "me";

std::string rendered(const Memory::Line& line) {
  return "[" + std::to_string(line.round) + "] " + line.author + ": " + indented(line.text) + "\n";
}

// The order in which lines are given up.
bool goes_first(const Memory::Line& a, const Memory::Line& b) {
  const bool own_a = a.author == kOwn, own_b = b.author == kOwn;
  if (own_a != own_b) return own_b;
  if (a.round != b.round) return a.round < b.round;
  return !own_a && a.relevance < b.relevance;
}

}  // namespace

std::string indented(std::string_view text) {
  // The longest first: CR LF is one end.
  static constexpr std::string_view kEnds[] = {"\r\n", "\n", "\r", "\v", "\f", "\xc2\x85",
                                               "\xe2\x80\xa8", "\xe2\x80\xa9"};
  std::string out;
  while (!text.empty()) {
    const auto end = std::find_if(std::begin(kEnds), std::end(kEnds),
                                  [&](std::string_view one) { return text.starts_with(one); });
    if (end == std::end(kEnds)) {
      out += text[0];
      text.remove_prefix(1);
    } else {
      out += "\n  ";
      text.remove_prefix(end->size());
    }
  }
  return out;
}

size_t count_chars(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

void Memory::append(Line line) {
  if (!line.text.empty()) lines_.push_back(std::move(line));
}

std::vector<Memory::Line> Memory::trim(size_t chars_max) {
  size_t chars = count_chars(render());
  if (chars <= chars_max) return {};
  const size_t target = chars_max - chars_max / 4;
  std::vector<size_t> order(lines_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return goes_first(lines_[a], lines_[b]); });
  std::vector<Line> dropped;
  std::vector<bool> gone(lines_.size(), false);
  for (const size_t index : order) {
    if (chars <= target) break;
    chars -= count_chars(rendered(lines_[index]));
    gone[index] = true;
    dropped.push_back(lines_[index]);
  }
  std::vector<Line> kept;
  for (size_t i = 0; i < lines_.size(); ++i)
    if (!gone[i]) kept.push_back(std::move(lines_[i]));
  lines_ = std::move(kept);
  return dropped;
}

std::string Memory::render() const {
  std::string out;
  for (const Line& line : lines_) out += rendered(line);
  return out;
}

}  // namespace swarm::agents
