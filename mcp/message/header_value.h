// mcp/message/header_value.h — Values of the protocol in HTTP headers (2026-07-28): the base64
// sentinel form and the x-mcp-header annotations of tool schemas. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/json.h"

namespace swarm::mcp {

std::string base64_encode(std::string_view bytes);
std::optional<std::string> base64_decode(std::string_view text);

// As it is, or "=?base64?...?=" where a header could not carry it.
std::string encode_header_value(std::string_view text);
// nullopt for a sentinel around what is no base64.
std::optional<std::string> decode_header_value(std::string_view text);

// An argument that travels in a header, too.
struct HeaderParam {
  std::vector<std::string> path;   // of property names
  std::string header;              // "Mcp-Param-Region"
};

// The annotations of an input schema; an error says which rule is broken.
Result<std::vector<HeaderParam>> header_params(const Json& input_schema);

// The value for one header; nullopt when the argument is absent, null or of another type.
std::optional<std::string> header_argument(const HeaderParam& param, const Json& arguments);

}  // namespace swarm::mcp
