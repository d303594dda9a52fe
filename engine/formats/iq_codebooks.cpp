#include "engine/formats/iq_codebooks.h"

#include <cstddef>
#include <string_view>

namespace swarm::engine::formats {
namespace {

#include "engine/formats/iq_codebooks.inc"

constexpr int hex_digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

// Every point is one code of `digits` hex digits: code = sum of level_index[j] << (bits * j).
template <size_t kElements, size_t kEntries, size_t kLevels>
consteval std::array<std::array<int8_t, kElements>, kEntries> expand(
    std::string_view codes, const int8_t (&levels)[kLevels]) {
  constexpr int kBits = kLevels > 4 ? 3 : 2;
  constexpr size_t kDigits = kElements * kBits / 4;
  std::array<std::array<int8_t, kElements>, kEntries> points{};
  for (size_t i = 0; i < kEntries; ++i) {
    int code = 0;
    for (size_t k = 0; k < kDigits; ++k) code = code * 16 + hex_digit(codes.at(i * kDigits + k));
    for (size_t j = 0; j < kElements; ++j)
      points[i][j] = levels[(code >> (kBits * static_cast<int>(j))) & ((1 << kBits) - 1)];
  }
  return points;
}

constexpr int8_t kLevels2[] = {8, 25, 43};
constexpr int8_t kLevels3xxs[] = {4, 12, 20, 28, 36, 44, 52, 62};
constexpr int8_t kLevels3s[] = {1, 3, 5, 7, 9, 11, 13, 15};
constexpr int8_t kLevels1[] = {-1, 0, 1};

constexpr auto kIq2xxs = expand<8, 256>(kIq2xxsCodes, kLevels2);
constexpr auto kIq2xs = expand<8, 512>(kIq2xsCodes, kLevels2);
constexpr auto kIq2s = expand<8, 1024>(kIq2sCodes, kLevels2);
constexpr auto kIq3xxs = expand<4, 256>(kIq3xxsCodes, kLevels3xxs);
constexpr auto kIq3s = expand<4, 512>(kIq3sCodes, kLevels3s);
constexpr auto kIq1s = expand<8, 2048>(kIq1sCodes, kLevels1);

}  // namespace

std::span<const std::array<int8_t, 8>, 256> iq2xxs_codebook() { return kIq2xxs; }
std::span<const std::array<int8_t, 8>, 512> iq2xs_codebook() { return kIq2xs; }
std::span<const std::array<int8_t, 8>, 1024> iq2s_codebook() { return kIq2s; }
std::span<const std::array<int8_t, 4>, 256> iq3xxs_codebook() { return kIq3xxs; }
std::span<const std::array<int8_t, 4>, 512> iq3s_codebook() { return kIq3s; }
std::span<const std::array<int8_t, 8>, 2048> iq1s_codebook() { return kIq1s; }

}  // namespace swarm::engine::formats
