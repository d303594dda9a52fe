// engine/model/model_source.h — Where a model comes from, as users write it: the path of a GGUF
// file (any part of a split one) or "synth:PRESET[:TYPE[:LAYERS]]". Thread-safe.
#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>
#include <string_view>
#include <variant>

#include "engine/base/error.h"
#include "engine/formats/gguf.h"
#include "engine/model/synth.h"

namespace swarm::engine::model {

using ModelSource = std::variant<std::filesystem::path, SynthSpec>;

Result<ModelSource> parse_model_source(std::string_view source);

// Opens the file or makes the weights. An absent file is an environment error that names it.
// A requested stop ends the making of weights with ErrorKind::cancelled.
Result<std::shared_ptr<const formats::GgufFile>> open_model(std::string_view source,
                                                            const std::stop_token& stop = {});

// The same for questions of shape and size: weights of a synthetic model are not made and read as
// zeros, so the answer takes milliseconds and no memory whatever the size.
Result<std::shared_ptr<const formats::GgufFile>> open_model_shapes(std::string_view source);

}  // namespace swarm::engine::model
