// Models in several files: any part opens the whole; parts that do not belong together are refused.
#include <doctest/doctest.h>

#include "tests/engine/formats/raw_gguf.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::formats;

namespace {

std::vector<std::byte> one_float(float value) {
  std::vector<std::byte> out(4);
  std::memcpy(out.data(), &value, 4);
  return out;
}

std::filesystem::path part_path(const test::TempDir& dir, int number, int count = 3) {
  return dir.path() /
         ("m-0000" + std::to_string(number) + "-of-0000" + std::to_string(count) + ".gguf");
}

struct PartKeys {
  uint16_t index;
  uint16_t count = 3;
  int32_t tensors = 3;
};

// Part `number` (from 1) holds the tensor "w<number>" with the value `number`.
void write_part(const std::filesystem::path& path, int number, PartKeys keys,
                const std::string& tensor = {}) {
  GgufBuilder builder;
  builder.set("split.no", keys.index);
  builder.set("split.count", keys.count);
  builder.set("split.tensors.count", keys.tensors);
  if (number == 1) builder.set("general.architecture", std::string("qwen3"));
  builder.add_tensor(tensor.empty() ? "w" + std::to_string(number) : tensor, {1}, TensorType::f32,
                     one_float(static_cast<float>(number)));
  REQUIRE(builder.write(path).has_value());
}

void write_good_parts(const test::TempDir& dir) {
  for (int number = 1; number <= 3; ++number)
    write_part(part_path(dir, number), number, {.index = static_cast<uint16_t>(number - 1)});
}

std::string open_error(const std::filesystem::path& path) {
  const auto file = GgufFile::open(path);
  return file ? "" : file.error().message;
}

}  // namespace

TEST_CASE("gguf split: any part opens the whole model") {
  const test::TempDir dir;
  write_good_parts(dir);
  for (int given = 1; given <= 3; ++given) {
    const auto file = GgufFile::open(part_path(dir, given));
    REQUIRE_MESSAGE(file.has_value(), (file ? "" : file.error().message));
    CHECK(*(*file)->text("general.architecture") == "qwen3");
    CHECK(!(*file)->has("split.count"));
    REQUIRE((*file)->tensors().size() == 3);
    for (int number = 1; number <= 3; ++number) {
      const TensorView* tensor = (*file)->find_tensor("w" + std::to_string(number));
      REQUIRE(tensor);
      std::vector<float> value(1);
      REQUIRE(dequantize(tensor->type, tensor->data, value).has_value());
      CHECK(value[0] == static_cast<float>(number));
    }
    uint64_t bytes = 0;
    for (int number = 1; number <= 3; ++number)
      bytes += std::filesystem::file_size(part_path(dir, number));
    CHECK((*file)->file_bytes() == bytes);
  }
}

TEST_CASE("gguf split: a missing part is named") {
  const test::TempDir dir;
  write_good_parts(dir);
  std::filesystem::remove(part_path(dir, 2));
  CHECK(open_error(part_path(dir, 3)) ==
        part_path(dir, 2).string() + ": cannot open: No such file or directory");
}

TEST_CASE("gguf split: parts that disagree are refused") {
  const test::TempDir dir;
  write_good_parts(dir);
  const auto second = part_path(dir, 2), first = part_path(dir, 1);
  write_part(second, 2, {.index = 2});
  CHECK(open_error(first) ==
        second.string() + ": metadata key \"split.no\": expected 1, found 2");
  write_part(second, 2, {.index = 1, .count = 4});
  CHECK(open_error(first) ==
        second.string() + ": metadata key \"split.count\": expected 3, found 4");
  write_part(second, 2, {.index = 1}, "w1");
  CHECK(open_error(first) == first.string() + ": tensor \"w1\" appears in two parts");
  write_part(second, 2, {.index = 1});
  write_part(first, 1, {.index = 0, .tensors = 5});
  CHECK(open_error(first) ==
        first.string() + ": metadata key \"split.tensors.count\": expected 3, found 5");
}

TEST_CASE("gguf split: the file name must say which part it is") {
  const test::TempDir dir;
  const auto lonely = dir.path() / "m.gguf";
  write_part(lonely, 1, {.index = 0});
  CHECK(open_error(lonely) == lonely.string() +
        ": one of 3 parts; expected a name such as NAME-00001-of-00005.gguf");
  const auto renamed = part_path(dir, 1, 2);
  write_part(renamed, 1, {.index = 0});
  CHECK(open_error(renamed) == renamed.string() +
        ": expected a part of 3 (metadata key \"split.count\"), found part 1 of 2 in the file "
        "name");
  const auto zeroth = part_path(dir, 0);
  write_part(zeroth, 1, {.index = 0});
  CHECK(open_error(zeroth).find("found part 0 of 3") != std::string::npos);
  CHECK(open_error(lonely).find("one of 3 parts") != std::string::npos);
}

TEST_CASE("gguf split: a single part and a lookalike name are plain files") {
  const test::TempDir dir;
  const auto whole = dir.path() / "m.gguf";
  write_part(whole, 1, {.index = 0, .count = 1, .tensors = 1});
  CHECK(open_error(whole).empty());
  const auto lookalike = part_path(dir, 2);
  REQUIRE(varied_builder().write(lookalike).has_value());
  CHECK(open_error(lookalike).empty());
}
