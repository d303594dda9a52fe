// Model files from anywhere: GGUF reader, decoding of every tensor, model configuration.
//   fuzz_gguf [ROUNDS]   replays tests/fuzz/corpus/gguf, then ROUNDS seeded mutations of each file
//                        (default 300). Exit code 1 names what went wrong; a crash is the finding.
// With SWARM_FUZZ_ENTRY_ONLY (preset fuzz, `./dev fuzz`) libFuzzer finds the inputs by what code
// they reach. Every fixed crash adds its file to the corpus. The corpus is made by
// tests/fuzz/corpus/make_gguf_corpus.py: files called good-* must be accepted.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>

#include "engine/formats/gguf.h"
#include "engine/model/model_config.h"
#include "tests/engine/formats/damage.h"

namespace {

using swarm::engine::formats::GgufFile;
using swarm::test::Bytes;

// How far the bytes came: 0 refused by the reader, 1 by the model configuration, 2 accepted.
int feed(Bytes bytes) {
  const auto file = GgufFile::parse(std::move(bytes), "fuzz");
  if (!file) return 0;
  for (const auto& tensor : (*file)->tensors()) {
    std::vector<float> values(tensor.elements());
    const auto decoded = swarm::engine::formats::dequantize(tensor.type, tensor.data, values);
    if (!decoded) std::abort();  // an accepted tensor can be decoded
  }
  return swarm::engine::model::read_model_config(**file) ? 2 : 1;
}

}  // namespace

#ifdef SWARM_FUZZ_ENTRY_ONLY
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  feed({bytes.begin(), bytes.end()});
  return 0;
}

#else
int main(int argc, char** argv) {
  const uint64_t rounds = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 300;
  std::set<std::filesystem::path> corpus;  // in a fixed order
  for (const auto& entry : std::filesystem::directory_iterator("tests/fuzz/corpus/gguf"))
    corpus.insert(entry.path());
  if (corpus.empty()) {
    std::cerr << "no corpus in tests/fuzz/corpus/gguf\n";
    return 1;
  }
  std::array<uint64_t, 3> outcomes{};
  for (const auto& path : corpus) {
    std::ifstream in(path, std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    const auto view = std::as_bytes(std::span(text));
    const Bytes whole(view.begin(), view.end());
    const bool good = path.filename().string().starts_with("good-");
    if ((feed(whole) == 2) != good) {
      std::cerr << path << ": expected " << (good ? "acceptance" : "an error") << "\n";
      return 1;
    }
    for (uint64_t round = 0; round < rounds && !whole.empty(); ++round) {
      swarm::Rng rng(swarm::mix_seed(swarm::hash_text(path.filename().string()), round));
      Bytes bytes = whole;
      // Most of the file is weights; half of the rounds hurt only the structure before them.
      const size_t head = std::min<size_t>(bytes.size(), 4096);
      Bytes start(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(head));
      for (uint64_t hits = 1 + rng.below(4); hits > 0; --hits)
        swarm::test::damage(round % 2 == 0 ? bytes : start, rng);
      if (round % 2 == 1) std::copy(start.begin(), start.end(), bytes.begin());
      ++outcomes[static_cast<size_t>(feed(std::move(bytes)))];
    }
  }
  std::cout << corpus.size() << " files, " << rounds << " mutations each: " << outcomes[0]
            << " refused by the reader, " << outcomes[1] << " by the model configuration, "
            << outcomes[2] << " accepted\n";
  return 0;
}
#endif
