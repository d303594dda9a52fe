// engine/base/text_file.h — Whole texts from files and streams, bounded: what never ends (a device,
// a pipe) is refused instead of filling the memory. Blocking; any thread.
#pragma once

#include <cstddef>
#include <istream>
#include <string>

#include "engine/base/error.h"

namespace swarm {

// As much as a JSON document may have; files that people write are far below it.
inline constexpr size_t kTextBytesMax = size_t{64} << 20;

// Kinds: environment when it cannot be read, invalid_input with the file when it is longer.
Result<std::string> read_text_file(const std::string& path, size_t bytes_max = kTextBytesMax);

// The rest of a stream; name: what errors call it.
Result<std::string> read_text_stream(std::istream& in, const std::string& name,
                                     size_t bytes_max = kTextBytesMax);

}  // namespace swarm
