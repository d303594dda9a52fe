// Decoding and encoding against other implementations: blocks.gguf and quantizers.gguf, written by
// tests/golden/formats/make_blocks.py (which names the oracles).
#include "engine/formats/block_types.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "engine/base/rng.h"
#include "engine/formats/fp8.h"
#include "engine/formats/gguf.h"
#include "engine/formats/iq_codebooks.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::formats;

namespace {

std::shared_ptr<const GgufFile> golden_file(const std::string& name) {
  auto file = GgufFile::open(test::golden("formats/" + name));
  REQUIRE_MESSAGE(file.has_value(), (file ? "" : file.error().message));
  return *file;
}

std::vector<float> floats(const TensorView& tensor) {
  std::vector<float> out(tensor.elements());
  REQUIRE(dequantize(tensor.type, tensor.data, out).has_value());
  return out;
}

// The tensor NAME.part of a golden file.
const TensorView& part(const GgufFile& file, std::string_view name, const std::string& what) {
  const TensorView* found = file.find_tensor(std::string(name) + "." + what);
  REQUIRE_MESSAGE(found, name);
  return *found;
}

double rmse(std::span<const float> got, std::span<const float> want) {
  double sum = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double difference = double{got[i]} - double{want[i]};
    sum += difference * difference;
  }
  return std::sqrt(sum / static_cast<double>(want.size()));
}

}  // namespace

TEST_CASE("block types: ids and sizes are those of the gguf package") {
  const auto file = golden_file("blocks.gguf");
  const auto sizes = file->array("block_sizes");
  REQUIRE(sizes.has_value());
  std::set<uint32_t> ids;
  for (size_t i = 0; i < sizes->size(); i += 3) {
    const auto number = [&](size_t k) {
      return static_cast<uint32_t>(std::get<int32_t>((*sizes)[i + k]));
    };
    const BlockType* type = find_block_type(static_cast<TensorType>(number(0)));
    REQUIRE(type);
    CAPTURE(type->name);
    CHECK(type->block_elements == number(1));
    CHECK(type->block_bytes == number(2));
    ids.insert(number(0));
  }
  for (const BlockType& type : block_types())  // Q8_1 is only for activations, FP8 is ours
    if (type.type != TensorType::q8_1 && type.type != TensorType::fp8)
      CHECK(ids.contains(static_cast<uint32_t>(type.type)));
}

TEST_CASE("block types: every type decodes to what other implementations decode") {
  const auto file = golden_file("blocks.gguf");
  int compared = 0;
  for (const BlockType& type : block_types()) {
    CAPTURE(type.name);
    if (!file->find_tensor(std::string(type.name) + ".blocks")) continue;
    const std::vector<float> want = floats(part(*file, type.name, "values"));
    std::vector<float> got(want.size());
    REQUIRE(dequantize(type.type, part(*file, type.name, "blocks").data, got).has_value());
    // The order of multiplications differs; affine types subtract, so the bound scales with the
    // largest element instead of vanishing where two terms cancel.
    float largest = 0;
    for (const float value : want) largest = std::max(largest, std::abs(value));
    const auto wrong = test::compare(got, want, {.abs = 1e-6 * largest, .rel = 1e-6});
    CHECK_MESSAGE(!wrong, *wrong);
    got[got.size() / 2] += 1e-3f * largest;  // one wrong element is noticed
    CHECK(test::compare(got, want, {.abs = 1e-6 * largest, .rel = 1e-6}).has_value());
    ++compared;
  }
  CHECK(compared == 28);
}

TEST_CASE("block types: the codebooks are those of the gguf package") {
  const auto file = golden_file("blocks.gguf");
  const auto check = [&](const char* key, const auto& codebook) {
    const auto bytes = std::as_bytes(std::span(codebook));
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    CHECK_MESSAGE(*file->integer(std::string("codebook.") + key) == hash_text(text), key);
  };
  check("IQ2_XXS", iq2xxs_codebook());
  check("IQ2_XS", iq2xs_codebook());
  check("IQ2_S", iq2s_codebook());
  check("IQ3_XXS", iq3xxs_codebook());
  check("IQ3_S", iq3s_codebook());
  check("IQ1_S", iq1s_codebook());
}

TEST_CASE("block types: the simple quantizers are bit-equal to the reference") {
  const auto file = golden_file("quantizers.gguf");
  const std::vector<float> input = floats(*file->find_tensor("input"));
  for (const char* name :
       {"BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_1", "Q8_K", "MXFP4"}) {
    CAPTURE(name);
    const BlockType* type = *block_type_by_name(name);
    const TensorView& want = part(*file, name, "codes");
    std::vector<std::byte> got(want.data.size());
    REQUIRE(quantize(type->type, input, got).has_value());
    for (size_t i = 0; i < got.size(); ++i) {
      CAPTURE(i / type->block_bytes);
      CAPTURE(i % type->block_bytes);
      REQUIRE(got[i] == want.data[i]);
    }
  }
  const std::vector<float> halves = floats(*file->find_tensor("F16.input"));
  const TensorView& want = part(*file, "F16", "codes");
  std::vector<std::byte> got(want.data.size());
  REQUIRE(quantize(TensorType::f16, halves, got).has_value());
  for (size_t i = 0; i < halves.size(); ++i) {
    CAPTURE(halves[i]);
    CHECK(got[2 * i] == want.data[2 * i]);
    CHECK(got[2 * i + 1] == want.data[2 * i + 1]);
  }
}

TEST_CASE("block types: quantizers that search err at most 2 % more than the reference ones") {
  const auto file = golden_file("quantizers.gguf");
  const TensorView& input = *file->find_tensor("k_input");
  const std::vector<float> values = floats(input);
  const size_t row = input.dims[0];
  for (const char* name : {"Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ2_XXS", "IQ2_XS", "IQ2_S",
                           "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS"}) {
    const BlockType* type = *block_type_by_name(name);
    const auto reference = file->array(std::string("rmse.") + name);
    REQUIRE(reference.has_value());
    REQUIRE(reference->size() == values.size() / row);
    for (size_t r = 0; r < reference->size(); ++r) {
      const auto want = std::span(values).subspan(r * row, row);
      std::vector<std::byte> blocks(row / type->block_elements * type->block_bytes);
      std::vector<float> decoded(row);
      REQUIRE(quantize(type->type, want, blocks).has_value());
      REQUIRE(dequantize(type->type, blocks, decoded).has_value());
      const double ratio = rmse(decoded, want) / double{std::get<float>((*reference)[r])};
      CAPTURE(std::string(name));
      CAPTURE(r);
      CHECK(ratio <= 1.02);
      CHECK(ratio > 0.3);  // a smaller error than that would be a broken measurement
    }
  }
}

TEST_CASE("block types: E4M3 and block-wise FP8 are what torch makes of them") {
  const auto file = golden_file("fp8.gguf");
  const std::vector<float> decoded = floats(*file->find_tensor("decoded"));
  REQUIRE(decoded.size() == 256);
  for (uint32_t code = 0; code < 256; ++code) {
    CAPTURE(code);
    const float value = e4m3_to_f32(static_cast<uint8_t>(code));
    if (decoded[code] == 1000.0f) {
      CHECK(std::isnan(value));
    } else {
      CHECK(std::bit_cast<uint32_t>(value) == std::bit_cast<uint32_t>(decoded[code]));
      CHECK(f32_to_e4m3(value) == code);
    }
  }
  const std::vector<float> input = floats(*file->find_tensor("input"));
  const auto codes = part(*file, "input", "codes").data;
  for (size_t i = 0; i < input.size(); ++i) {
    CAPTURE(input[i]);
    CHECK(f32_to_e4m3(input[i]) == static_cast<uint8_t>(codes[i]));
  }
  CHECK(f32_to_e4m3(1e9f) == 0x7e);   // a weight is never made a NaN
  CHECK(f32_to_e4m3(-INFINITY) == 0xfe);
  CHECK(f32_to_e4m3(NAN) == 0x7f);
}

TEST_CASE("block types: rows of a block-wise FP8 matrix decode like torch's, from any first row") {
  const auto file = golden_file("fp8.gguf");
  constexpr size_t kCols = 256, kRows = 130, kRowBytes = 2 * 132;
  const auto data = part(*file, "matrix", "codes").data;
  const std::span codes(reinterpret_cast<const uint8_t*>(data.data()), data.size());
  const std::vector<float> scales = floats(part(*file, "matrix", "scales"));
  const std::vector<float> want = floats(part(*file, "matrix", "values"));
  const auto rows = file->array("matrix.rows");
  REQUIRE(rows.has_value());
  for (size_t i = 0; i < rows->size(); ++i) {
    const auto row = static_cast<size_t>(std::get<int32_t>((*rows)[i]));
    for (const size_t first : {size_t{0}, row}) {
      const size_t last = first == 0 ? kRows : row + 1;
      std::vector<std::byte> packed((last - first) * kRowBytes);
      REQUIRE(pack_fp8_rows(codes.subspan(first * kCols, (last - first) * kCols), scales, first,
                            kCols, packed).has_value());
      std::vector<float> got(kCols);
      const auto bytes = std::span(packed).subspan((row - first) * kRowBytes, kRowBytes);
      REQUIRE(dequantize(TensorType::fp8, bytes, got).has_value());
      CAPTURE(row);
      const auto bad = test::compare(got, std::span(want).subspan(i * kCols, kCols), {.rel = 1e-7});
      if (bad) FAIL(*bad);
    }
  }
  std::vector<std::byte> out(kRowBytes);
  CHECK(pack_fp8_rows(codes.first(100), scales, 0, 100, out).has_error());
  CHECK(pack_fp8_rows(codes.first(kCols), scales, 256, kCols, out).has_error());
  CHECK(pack_fp8_rows(codes.first(2 * kCols), scales, 0, kCols, out).has_error());
}

TEST_CASE("block types: f16 converts all 65536 patterns there and back") {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = f16_to_f32(half);
    const bool nan = (bits & 0x7fff) > 0x7c00;
    CHECK(std::isnan(value) == nan);
    if (nan) continue;
    REQUIRE(f32_to_f16(value) == half);
    const uint32_t exponent = (bits >> 10) & 31, mantissa = bits & 1023;
    if (exponent == 31) continue;
    const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24)
                                           : std::ldexp(1024 + mantissa, int(exponent) - 25);
    REQUIRE(double{value} == (bits < 0x8000 ? magnitude : -magnitude));
  }
  CHECK(std::isnan(f16_to_f32(f32_to_f16(NAN))));
  CHECK(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7f800001u)))));
}

TEST_CASE("block types: f16 rounds every midpoint to the even neighbour") {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const double low = double{f16_to_f32(static_cast<uint16_t>(bits))};
    const double high = double{f16_to_f32(static_cast<uint16_t>(bits + 1))};
    const auto middle = static_cast<float>((low + high) / 2);
    REQUIRE(f32_to_f16(middle) == (bits % 2 == 0 ? bits : bits + 1));
    REQUIRE(f32_to_f16(std::nextafterf(middle, 0)) == bits);
    REQUIRE(f32_to_f16(std::nextafterf(middle, 1e9f)) == bits + 1);
  }
}

TEST_CASE("block types: the table tells the truth about decoding and encoding") {
  for (const BlockType& type : block_types()) {
    CAPTURE(type.name);
    std::vector<std::byte> block(type.block_bytes);
    std::vector<float> values(type.block_elements);
    CHECK(dequantize(type.type, block, values).has_value() == type.decodable);
    CHECK(quantize(type.type, values, block).has_value() == type.encodable);
    CHECK(*block_type_by_name(type.name) == &type);
  }
  CHECK(find_block_type(static_cast<TensorType>(31)) == nullptr);
  CHECK((*block_type_by_name("q4_k"))->type == TensorType::q4_k);
  CHECK(block_type_by_name("Q4K").error().message ==
        "unknown tensor type \"Q4K\"; did you mean \"Q4_K\"?");
}

TEST_CASE("block types: wrong lengths and values without a number are refused") {
  std::vector<float> values(32, 1.0f);
  std::vector<std::byte> block(34);
  CHECK(quantize(TensorType::q8_0, std::span(values).first(31), block).has_error());
  CHECK(quantize(TensorType::q8_0, values, std::span(block).first(33)).has_error());
  CHECK(dequantize(TensorType::q8_0, std::span(block).first(33), values).has_error());
  CHECK(dequantize(static_cast<TensorType>(5), block, values).error().message ==
        "unknown tensor type id 5");
  values[7] = std::numeric_limits<float>::quiet_NaN();
  CHECK(quantize(TensorType::q8_0, values, block).error().message ==
        "expected finite values for Q8_0, found nan at index 7");
}

TEST_CASE("block types: extreme but finite values encode without a trap and decode finitely") {
  for (const BlockType& type : block_types()) {
    if (!type.encodable || type.block_elements == 1) continue;
    CAPTURE(type.name);
    for (const float extreme : {1e-45f, 1e-38f, 1e-20f, 1e3f, 2e4f}) {
      CAPTURE(extreme);
      std::vector<float> values(type.block_elements), decoded(type.block_elements);
      std::vector<std::byte> block(type.block_bytes);
      for (size_t i = 0; i < values.size(); ++i)
        values[i] = extreme * (static_cast<float>(i % 7) - 3.0f);
      REQUIRE(quantize(type.type, values, block).has_value());
      REQUIRE(dequantize(type.type, block, decoded).has_value());
      for (size_t i = 0; i < values.size(); ++i) {
        REQUIRE(std::isfinite(decoded[i]));
        // MXFP4 saturates just below a power of two at 6/8 of the largest. A lattice of three
        // levels may be a level off to reach a point: (43 - 25) / 43 of the largest, which is 3.
        const float steps = type.name.starts_with("IQ2") ? 1.6f : 0.75f;
        if (extreme >= 1e3f) REQUIRE(std::abs(decoded[i] - values[i]) <= steps * extreme);
      }
    }
  }
}
