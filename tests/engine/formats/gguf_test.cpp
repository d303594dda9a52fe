#include "engine/formats/gguf.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>

#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::formats;

namespace {

std::vector<std::byte> bytes_of(const std::vector<float>& values) {
  std::vector<std::byte> out(values.size() * sizeof(float));
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}

}  // namespace

TEST_CASE("gguf: what the builder writes is what open reads") {
  GgufBuilder builder;
  builder.set("general.architecture", std::string("qwen3"));
  builder.set("a.u8", uint8_t{200});
  builder.set("a.i64", int64_t{-5});
  builder.set("a.f32", 1.5f);
  builder.set("a.f64", 2.25);
  builder.set("a.bool", true);
  builder.set_strings("a.strings", {"x", "", "é"});
  builder.set_integers("a.integers", {1, -2, 3});
  builder.add_tensor("w", {3, 2}, TensorType::f32, bytes_of({1, 2, 3, 4, 5, 6}));
  builder.add_tensor("v", {1}, TensorType::f32, bytes_of({-1}));
  const test::TempDir dir;
  const auto path = dir.path() / "small.gguf";
  REQUIRE(builder.write(path).has_value());
  const auto file = GgufFile::open(path);
  REQUIRE(file.has_value());
  const GgufFile& gguf = **file;
  CHECK(*gguf.text("general.architecture") == "qwen3");
  CHECK(*gguf.integer("a.u8") == 200);
  CHECK(gguf.integer("a.i64").has_error());
  CHECK(*gguf.number("a.i64") == -5);
  CHECK(*gguf.number("a.f32") == 1.5);
  CHECK(*gguf.number("a.f64") == 2.25);
  CHECK(*gguf.boolean("a.bool"));
  const auto strings = gguf.array("a.strings");
  REQUIRE(strings.has_value());
  REQUIRE(strings->size() == 3);
  CHECK(std::get<std::string>((*strings)[2]) == "é");
  const auto integers = gguf.array("a.integers");
  REQUIRE(integers.has_value());
  CHECK(std::get<int32_t>((*integers)[1]) == -2);
  const TensorView* w = gguf.find_tensor("w");
  REQUIRE(w);
  CHECK(w->rows() == 2);
  CHECK(w->row_bytes() == 12);
  std::vector<float> values(6);
  REQUIRE(dequantize(w->type, w->data, values).has_value());
  CHECK(values[5] == 6);
  CHECK(gguf.find_tensor("none") == nullptr);
  CHECK(gguf.file_bytes() == std::filesystem::file_size(path));
  CHECK(gguf.number("missing").error().message == path.string() +
        ": missing metadata key \"missing\"");
}
