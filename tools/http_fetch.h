// tools/http_fetch.h — PUBLIC. The tool http_fetch(url): a page of the web as text. The connection
// is somebody else's: tools know no sockets but those that are handed to them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "tools/tool.h"

namespace swarm::tools {

struct HttpPage {
  HttpPage() = default;            // not an aggregate: GCC 12, see tool.h
  int status = 0;
  std::string url;                 // after redirects
  std::string content_type;        // lower case, without parameters
  std::string body;                // at most what was asked for
  bool cut = false;                // there was more
};

// GETs a URL; throws ErrorException{environment} when there is no answer, {invalid_input} for what
// is no http or https URL. Must refuse addresses that are not public, after resolving, also in
// redirects, unless the user allowed them.
using HttpGet = std::function<Async<HttpPage>(std::string url, size_t bytes_max)>;

std::shared_ptr<Tool> make_http_fetch(HttpGet get);

// What a reader sees of an HTML page: text in lines, without scripts, styles and tags; links as
// "text (address)"; entities resolved. Any bytes; never throws.
std::string html_to_text(std::string_view html);

}  // namespace swarm::tools
