// tests/tidy/tidy.h — House rules as code: sizes, include arrows, banned tokens, header contracts.
// Pure functions over text, so that the rules themselves are tested with planted violations.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace swarm::tidy {

struct Finding {
  std::string path;
  int line = 0;
  std::string message;
  std::string to_text() const { return path + ":" + std::to_string(line) + ": error: " + message; }
};

// Source text with comments and the contents of string literals blanked out, line ends kept.
std::string strip(std::string_view source);

// All rules that look at one file. path is relative to the repository root.
std::vector<Finding> check_file(const std::string& path, std::string_view text);

// Headers that no other file includes. files: path -> text.
std::vector<Finding> check_unused_headers(const std::map<std::string, std::string>& files);

// A page with a table whose rows begin with a number: rows 1 to `rows`, each once, and every name
// in backticks of the last column is a test. A row without a name must say "open". tests: the text
// of all test files.
std::vector<Finding> check_behaviours(const std::string& path, std::string_view page, int rows,
                                      std::string_view tests);

}  // namespace swarm::tidy
