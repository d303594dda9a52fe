#include "tests/tidy/tidy.h"

#include <algorithm>
#include <array>
#include <regex>
#include <set>
#include <span>
#include <sstream>

namespace swarm::tidy {
namespace {

constexpr int kFileLinesMax = 500;
constexpr int kPublicHeaderLinesMax = 200;
constexpr int kFunctionLinesMax = 70;
constexpr int kTestFunctionLinesMax = 110;
constexpr size_t kLineColumnsMax = 100;

const std::set<std::string> kPublicHeaders{
    "engine/engine.h", "engine/chat.h",  "engine/config.h",    "engine/fit.h",
    "tools/tool.h",    "tools/policy.h", "tools/http_fetch.h", "mcp/fetch.h",
    "mcp/mcp.h",       "mcp/serve.h",    "mcp/import.h",       "mcp/approvals.h",
    "agents/agent.h",  "agents/model.h", "orchestrator/orchestrator.h"};

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}
bool ends_with(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  std::istringstream in{std::string(text)};
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Folders (or files) a file may include, besides its own folder. "" = no rule (tests, examples).
std::vector<std::string> allowed_includes(const std::string& path) {
  if (starts_with(path, "engine/base/async/")) return {"engine/base/"};
  if (starts_with(path, "engine/base/")) return {"engine/base/"};
  if (starts_with(path, "engine/")) return {"engine/"};
  if (starts_with(path, "tools/")) return {"tools/", "engine/base/"};
  if (starts_with(path, "mcp/"))
    return {"mcp/", "tools/tool.h", "tools/http_fetch.h", "engine/base/"};
  if (starts_with(path, "agents/")) return {"agents/", "tools/tool.h", "engine/base/"};
  if (starts_with(path, "orchestrator/")) {
    std::vector<std::string> allowed{"orchestrator/", "engine/base/", "agents/scripted_model.h",
                                     "tools/scripted_tool.h"};
    allowed.insert(allowed.end(), kPublicHeaders.begin(), kPublicHeaders.end());
    // Commands that are windows into one part of the engine (inspection, conversion).
    static const std::set<std::string> kInspectors{
        "orchestrator/cli/command_devices.cpp", "orchestrator/cli/device_report.h",
        "orchestrator/cli/device_report.cpp", "orchestrator/cli/command_model.cpp",
        "orchestrator/cli/command_logits.cpp", "orchestrator/cli/command_tokenize.cpp",
        "orchestrator/cli/command_template.cpp"};
    if (kInspectors.contains(path)) allowed.push_back("engine/");
    if (path == "orchestrator/cli/main.cpp")   // what the program is linked with
      allowed.push_back("engine/kernels/linked_accelerator.h");
    return allowed;
  }
  if (starts_with(path, "examples/")) {
    std::vector<std::string> allowed{"examples/", "engine/base/"};
    allowed.insert(allowed.end(), kPublicHeaders.begin(), kPublicHeaders.end());
    return allowed;
  }
  return {""};
}

void check_includes(const std::string& path, const std::vector<std::string>& lines,
                    std::vector<Finding>& out) {
  static const std::regex kInclude(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  const std::vector<std::string> allowed = allowed_includes(path);
  for (size_t i = 0; i < lines.size(); ++i) {
    std::smatch match;
    if (!std::regex_search(lines[i], match, kInclude)) continue;
    const std::string target = match[2];
    const int line = static_cast<int>(i) + 1;
    if (starts_with(target, "nlohmann/") && path != "engine/base/json.h" &&
        !starts_with(path, "examples/") && !starts_with(path, "tests/"))
      out.push_back({path, line, "nlohmann/json is included by engine/base/json.h only"});
    if (starts_with(target, "yaml-cpp/") && !starts_with(path, "orchestrator/config/"))
      out.push_back({path, line, "YAML is read in orchestrator/config only"});
    if (starts_with(target, "boost/asio") && starts_with(path, "engine/") &&
        !starts_with(path, "engine/base/async/"))
      out.push_back({path, line, "the engine knows no coroutines and no sockets"});
    if (match[1] != "\"") continue;
    if (starts_with(path, "engine/") && starts_with(target, "engine/base/async/") &&
        !starts_with(path, "engine/base/async/"))
      out.push_back({path, line, "the engine does not include base/async"});
    const bool fine = std::any_of(allowed.begin(), allowed.end(), [&](const std::string& prefix) {
      return starts_with(target, prefix);
    });
    if (!fine) out.push_back({path, line, "include arrow: " + path + " may not include " + target});
  }
}

// A kernel source sees the kernel language, primitives and plain declarations; no CUDA headers.
void check_kernel_includes(const std::string& path, const std::vector<std::string>& lines,
                           std::vector<Finding>& out) {
  static const std::regex kInclude(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  static const std::set<std::string> kSystem{"cstddef", "cstdint"};
  const bool device = starts_with(path, "engine/device/") ||
                      starts_with(path, "tests/engine/device/") ||
                      starts_with(path, "tests/engine/kernels/cuda/card/");
  const bool kernel = ends_with(path, ".cu") && starts_with(path, "engine/kernels/cuda/") &&
                      !starts_with(path, "engine/kernels/cuda/sm90/");
  for (size_t i = 0; i < lines.size(); ++i) {
    std::smatch match;
    if (!std::regex_search(lines[i], match, kInclude)) continue;
    const std::string target = match[2];
    const int line = static_cast<int>(i) + 1;
    if (match[1] == "<" && starts_with(target, "cu") && ends_with(target, ".h") && !device)
      out.push_back({path, line, "CUDA headers are included in engine/device only"});
    else if (kernel && match[1] == "<" && !kSystem.contains(target))
      out.push_back({path, line, "kernel sources include <cstdint> and <cstddef> only"});
    if (kernel && match[1] == "\"" && !starts_with(target, "engine/kernels/") &&
        !starts_with(target, "engine/formats/"))
      out.push_back({path, line, "include arrow: a kernel may not include " + target});
  }
}

struct Banned {
  std::string pattern;
  std::string reason;
  std::vector<std::string> except;  // path prefixes
};

const std::vector<Banned>& banned() {
  static const std::vector<Banned> kBanned{
      {R"(\bdetached\b)", "nothing is detached: use a nursery", {}},
      {R"(\bnew\s+[A-Za-z_:<(])", "no bare new: make_unique or a container", {}},
      {R"(\bdelete\s+[A-Za-z_*(\[])", "no bare delete: an owner does it", {}},
      {R"(\b(printf|fprintf|puts)\s*\()", "no printf: a Log or a stream", {"tests/"}},
      {R"(<<<)", "kernels are launched through simt::launch", {"engine/kernels/cuda/simt/"}},
      {R"(\b(cuda|cublas|cublasLt|cu)[A-Z]\w*\s*\()", "CUDA runtime calls live in engine/device",
       {"engine/device/", "tests/engine/device/", "tests/engine/kernels/cuda/card/",
        "engine/kernels/cuda/simt/"}},
      {R"(\bSIMT_DEVICE\b|\b__CUDA_ARCH__\b|\b__CUDACC__\b)",
       "one source for both sides: what differs is a primitive",
       {"engine/kernels/cuda/simt/", "engine/kernels/cuda/prim/", "engine/kernels/cuda/sm90/",
        "tests/"}},
      {R"(\basm\b|\b__(shfl|syncthreads|syncwarp|ballot|dp4a|activemask)\w*|\batomic[A-Z]\w*)",
       "instructions live in kernels/cuda/prim",
       {"engine/kernels/cuda/simt/", "engine/kernels/cuda/prim/", "engine/kernels/cuda/sm90/"}},
      {R"(\b__shared__\b)", "shared memory is one struct from simt::shared<Smem>()",
       {"engine/kernels/cuda/simt/", "engine/kernels/cuda/sm90/"}},
      {R"(\b(FIXME|TODO|XXX|HACK)\b)", "open work belongs in an issue", {}},
      {R"(\bsleep_for\b|\busleep\s*\(|\bsleep\s*\()", "wait for a state, not for time", {}},
      {R"(\bstd::random_device\b)", "seeds come from main()", {"orchestrator/cli/main.cpp"}},
      {R"(\busing\s+namespace\b)", "no using namespace in headers", {}},
      {R"(\bstd::regex\b)", "std::regex is neither bounded nor linear", {"tests/"}},
  };
  return kBanned;
}

void check_banned(const std::string& path, const std::vector<std::string>& stripped,
                  const std::vector<std::string>& raw, std::vector<Finding>& out) {
  if (starts_with(path, "tests/tidy/")) return;
  for (const Banned& rule : banned()) {
    const bool header_only = starts_with(rule.pattern, R"(\busing)");
    if (header_only && !ends_with(path, ".h")) continue;
    if (std::any_of(rule.except.begin(), rule.except.end(),
                    [&](const std::string& prefix) { return starts_with(path, prefix); }))
      continue;
    const std::regex pattern(rule.pattern);
    const bool in_comments = rule.pattern.find("FIXME") != std::string::npos;
    const std::vector<std::string>& lines = in_comments ? raw : stripped;
    for (size_t i = 0; i < lines.size(); ++i)
      if (std::regex_search(lines[i], pattern))
        out.push_back({path, static_cast<int>(i) + 1, rule.reason});
  }
}

bool is_control_keyword(std::string_view word) {
  static const std::set<std::string_view> kWords{"if",    "for",   "while", "switch",
                                                 "catch", "return", "else",  "do"};
  return kWords.contains(word);
}

// The word before the parenthesis group that ends right before position `brace`, "" if the text
// before the brace is not a parameter list (plus qualifiers).
std::string function_name_before(const std::string& text, size_t brace) {
  static const std::regex kTail(
      R"(\)\s*(const|noexcept|override|final|mutable|&|&&|->\s*[\w:<>,\s\*&]+)*\s*$)");
  const size_t from = brace > 200 ? brace - 200 : 0;
  const std::string before = text.substr(from, brace - from);
  std::smatch match;
  if (!std::regex_search(before, match, kTail)) return "";
  size_t at = from + static_cast<size_t>(match.position(0));
  int depth = 0;
  for (;; --at) {
    if (text[at] == ')') ++depth;
    if (text[at] == '(' && --depth == 0) break;
    if (at == 0) return "";
  }
  size_t end = at;
  while (end > 0 && text[end - 1] == ' ') --end;
  size_t begin = end;
  while (begin > 0 && (std::isalnum(static_cast<unsigned char>(text[begin - 1])) != 0 ||
                       text[begin - 1] == '_' || text[begin - 1] == '~'))
    --begin;
  return text.substr(begin, end - begin);
}

void check_functions(const std::string& path, const std::string& stripped,
                     std::vector<Finding>& out) {
  const int lines_max = starts_with(path, "tests/") ? kTestFunctionLinesMax : kFunctionLinesMax;
  struct Open {
    std::string name;
    int line;
  };
  std::vector<Open> open;
  int line = 1;
  for (size_t i = 0; i < stripped.size(); ++i) {
    if (stripped[i] == '\n') ++line;
    if (stripped[i] == '{') {
      std::string name = function_name_before(stripped, i);
      if (is_control_keyword(name)) name.clear();
      open.push_back({name, line});
    }
    if (stripped[i] == '}' && !open.empty()) {
      const Open last = open.back();
      open.pop_back();
      if (!last.name.empty() && line - last.line + 1 > lines_max)
        out.push_back({path, last.line, "function " + last.name + " has " +
                                            std::to_string(line - last.line + 1) +
                                            " lines, at most " + std::to_string(lines_max)});
    }
  }
}

void check_sizes(const std::string& path, const std::vector<std::string>& lines,
                 std::vector<Finding>& out) {
  const int max = kPublicHeaders.contains(path) ? kPublicHeaderLinesMax : kFileLinesMax;
  if (static_cast<int>(lines.size()) > max)
    out.push_back({path, max, "file has " + std::to_string(lines.size()) + " lines, at most " +
                                  std::to_string(max)});
  for (size_t i = 0; i < lines.size(); ++i) {
    // Columns are code points, so that a formula in UTF-8 is not punished.
    const auto columns = static_cast<size_t>(std::count_if(
        lines[i].begin(), lines[i].end(), [](char c) { return (c & 0xc0) != 0x80; }));
    if (columns > kLineColumnsMax)
      out.push_back({path, static_cast<int>(i) + 1,
                     "line has " + std::to_string(columns) + " columns, at most 100"});
    if (lines[i].find('\t') != std::string::npos)
      out.push_back({path, static_cast<int>(i) + 1, "tab; the house indents with two spaces"});
  }
}

void check_header(const std::string& path, const std::vector<std::string>& lines,
                  std::vector<Finding>& out) {
  if (!ends_with(path, ".h")) return;
  if (lines.empty() || !starts_with(lines[0], "// " + path))
    out.push_back({path, 1, "a header begins with its contract: // " + path + " — ..."});
  if (std::find(lines.begin(), lines.end(), "#pragma once") == lines.end())
    out.push_back({path, 1, "#pragma once is missing"});
}

}  // namespace

std::string strip(std::string_view source) {
  std::string out(source);
  enum class In { code, line_comment, block_comment, text, character, raw } in = In::code;
  std::string raw_end;
  for (size_t i = 0; i < out.size(); ++i) {
    const char c = out[i], next = i + 1 < out.size() ? out[i + 1] : '\0';
    if (in == In::code) {
      if (c == '/' && next == '/') in = In::line_comment;
      else if (c == '/' && next == '*') in = In::block_comment;
      else if (c == 'R' && next == '"') {
        const size_t open = out.find('(', i);
        if (open == std::string::npos) break;
        raw_end = ")" + out.substr(i + 2, open - i - 2) + "\"";
        in = In::raw;
        i = open;
        continue;
      } else if (c == '"') in = In::text;
      else if (c == '\'' && (i == 0 || std::isalnum(static_cast<unsigned char>(out[i - 1])) == 0))
        in = In::character;
      if (in == In::line_comment || in == In::block_comment) out[i] = ' ';
      continue;
    }
    if (c == '\n') {
      if (in == In::line_comment) in = In::code;
      continue;
    }
    if (in == In::raw) {
      if (out.compare(i, raw_end.size(), raw_end) == 0) {
        i += raw_end.size() - 1;
        in = In::code;
      } else {
        out[i] = ' ';
      }
      continue;
    }
    if ((in == In::text || in == In::character) && c == '\\') {
      out[i] = ' ';
      if (next != '\n' && i + 1 < out.size()) out[++i] = ' ';
      continue;
    }
    if ((in == In::text && c == '"') || (in == In::character && c == '\'')) {
      in = In::code;
      continue;
    }
    if (in == In::block_comment && c == '*' && next == '/') {
      out[i] = ' ';
      out[++i] = ' ';
      in = In::code;
      continue;
    }
    out[i] = ' ';
  }
  return out;
}

std::vector<Finding> check_file(const std::string& path, std::string_view text) {
  std::vector<Finding> out;
  const std::vector<std::string> raw = lines_of(text);
  const std::string stripped = strip(text);
  check_sizes(path, raw, out);
  check_header(path, raw, out);
  check_includes(path, raw, out);
  check_kernel_includes(path, raw, out);
  check_banned(path, lines_of(stripped), raw, out);
  check_functions(path, stripped, out);
  return out;
}

std::vector<Finding> check_unused_headers(const std::map<std::string, std::string>& files) {
  std::vector<Finding> out;
  for (const auto& [path, text] : files) {
    if (!ends_with(path, ".h")) continue;
    const bool used = std::any_of(files.begin(), files.end(), [&](const auto& other) {
      return other.first != path &&
             other.second.find("\"" + path + "\"") != std::string::npos;
    });
    if (!used) out.push_back({path, 1, "nobody includes this header"});
  }
  return out;
}

std::vector<Finding> check_behaviours(const std::string& path, std::string_view page, int rows,
                                      std::string_view tests) {
  static const std::regex kRow(R"(^\| (\d+) \|.*\| ([^|]*) \|$)");
  static const std::regex kName("`([^`]+)`");
  std::vector<Finding> out;
  const std::vector<std::string> lines = lines_of(page);
  int expected = 1;
  for (size_t i = 0; i < lines.size(); ++i) {
    const int line = static_cast<int>(i) + 1;
    std::smatch row;
    if (!std::regex_match(lines[i], row, kRow)) continue;
    if (std::stoi(row[1]) != expected)
      out.push_back({path, line, "expected row " + std::to_string(expected)});
    expected = std::stoi(row[1]) + 1;
    const std::string cell = row[2];
    auto name = std::sregex_iterator(cell.begin(), cell.end(), kName);
    if (name == std::sregex_iterator() && cell.find("open") == std::string::npos)
      out.push_back({path, line, "a row names a test, or says that it is open"});
    for (; name != std::sregex_iterator(); ++name)
      if (tests.find("TEST_CASE(\"" + (*name)[1].str() + "\")") == std::string_view::npos)
        out.push_back({path, line, "there is no test \"" + (*name)[1].str() + "\""});
  }
  if (expected != rows + 1)
    out.push_back({path, 0, "expected rows up to " + std::to_string(rows)});
  return out;
}

}  // namespace swarm::tidy
