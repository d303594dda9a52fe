#include "engine/model/model_source.h"

#include <charconv>
#include <string>
#include <vector>

namespace swarm::engine::model {
namespace {

constexpr std::string_view kSynth = "synth:";

std::vector<std::string_view> split_at_colons(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(':');
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

Error bad_source(std::string_view source, const std::string& why) {
  return invalid_input("model source \"" + std::string(source) + "\": " + why);
}

}  // namespace

Result<ModelSource> parse_model_source(std::string_view source) {
  if (source.empty()) return invalid_input("expected a model file or synth:PRESET, found \"\"");
  if (!source.starts_with(kSynth)) return ModelSource(std::filesystem::path(source));
  const auto parts = split_at_colons(source.substr(kSynth.size()));
  if (parts.size() > 3 || parts[0].empty())
    return bad_source(source, "expected synth:PRESET[:TYPE[:LAYERS]]");
  SynthSpec spec{.preset = std::string(parts[0]), .type = {}, .layers = 0, .seed = 0};
  if (parts.size() > 1) spec.type = parts[1];
  if (parts.size() > 2) {
    const std::string_view text = parts[2];
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), spec.layers);
    if (error != std::errc() || end != text.data() + text.size() || spec.layers < 1)
      return bad_source(source, "expected a number of layers, found \"" + std::string(text) + "\"");
  }
  return ModelSource(std::move(spec));
}

Result<std::shared_ptr<const formats::GgufFile>> open_model(std::string_view source,
                                                            const std::stop_token& stop) {
  SWARM_TRY(const ModelSource parsed, parse_model_source(source));
  if (const auto* spec = std::get_if<SynthSpec>(&parsed)) return make_synthetic(*spec, stop);
  return formats::GgufFile::open(std::get<std::filesystem::path>(parsed));
}

Result<std::shared_ptr<const formats::GgufFile>> open_model_shapes(std::string_view source) {
  SWARM_TRY(const ModelSource parsed, parse_model_source(source));
  const auto* spec = std::get_if<SynthSpec>(&parsed);
  if (!spec) return formats::GgufFile::open(std::get<std::filesystem::path>(parsed));
  SWARM_TRY(formats::GgufBuilder builder, build_synthetic(*spec));
  return builder.finish_shapes(synth_source(*spec));
}

}  // namespace swarm::engine::model
