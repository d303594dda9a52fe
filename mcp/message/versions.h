// mcp/message/versions.h — The revisions of the protocol that are spoken, and names of extensions.
#pragma once

#include <array>
#include <string_view>

namespace swarm::mcp {

// Newest first.
inline constexpr std::array<std::string_view, 4> kLegacyVersions{"2025-11-25", "2025-06-18",
                                                                 "2025-03-26", "2024-11-05"};
inline constexpr const char* kModernVersion = "2026-07-28";

inline constexpr const char* kTasksExtension = "io.modelcontextprotocol/tasks";
inline constexpr const char* kSkillsExtension = "io.modelcontextprotocol/skills";

}  // namespace swarm::mcp
