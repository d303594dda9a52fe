#include "orchestrator/cli/checks.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "engine/base/json.h"

namespace swarm::cli {
namespace {

std::string refusal(const std::string& expected, const std::string& found) {
  return "expected " + expected + ", found " + dump_json(Json(found));
}

template <class Number>
bool reads_as(const std::string& text, Number& value) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end;
}

// A description would be printed behind every option in --help.
CLI::Option* check(CLI::Option* option, std::function<std::string(std::string&)> judge) {
  return option->check(CLI::Validator(std::move(judge), ""));
}

std::string shortest(double value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

}  // namespace

CLI::Option* expect_whole(CLI::Option* option, int64_t least, int64_t most) {
  return check(option, [least, most](std::string& text) -> std::string {
    int64_t value = 0;
    if (reads_as(text, value) && value >= least && value <= most) return "";
    const std::string range = std::to_string(least) + " to " + std::to_string(most);
    return refusal("an integer from " + range, text);
  });
}

CLI::Option* expect_seed(CLI::Option* option) {
  return check(option, [](std::string& text) -> std::string {
    uint64_t value = 0;
    if (reads_as(text, value)) return "";
    return refusal("an integer from 0 to " + std::to_string(UINT64_MAX), text);
  });
}

CLI::Option* expect_number(CLI::Option* option, double least, double most) {
  return check(option, [least, most](std::string& text) -> std::string {
    double value = 0;
    if (reads_as(text, value) && std::isfinite(value) && value >= least && value <= most) return "";
    const bool bounded = least > std::numeric_limits<double>::lowest() ||
                         most < std::numeric_limits<double>::max();
    return refusal(bounded ? "a number from " + shortest(least) + " to " + shortest(most)
                           : "a finite number",
                   text);
  });
}

CLI::Option* expect_one_of(CLI::Option* option,
                           std::vector<std::pair<std::string, std::string>> values) {
  const auto judge = [values = std::move(values)](std::string& text) -> std::string {
    std::string list;
    std::vector<std::string> words;
    for (const auto& [word, value] : values) {
      list += (list.empty() ? "" : ", ") + word;
      words.push_back(word);
      if (CLI::detail::to_lower(text) != word) continue;
      text = value;
      return "";
    }
    const std::string near = did_you_mean(text, words);
    return refusal("one of " + list, text) +
           (near.empty() ? "" : "; did you mean \"" + near + "\"?");
  };
  return option->transform(CLI::Validator(judge, ""));
}

Error in_flags(Error error) {
  using Words = std::pair<std::string_view, std::string_view>;
  constexpr std::array kFlags{Words{"engine.model", "--model"},
                              Words{"engine.device", "--device"},
                              Words{"engine.isa", "--isa"},
                              Words{"engine.kernels", "--kernels"},
                              Words{"engine.k_type", "--kv"},
                              Words{"engine.v_type", "--kv"},
                              Words{"engine.page_tokens", "--page-tokens"},
                              Words{"engine.kv_bytes_max", "--kv-bytes"},
                              Words{"engine.max_running", "--max-running"},
                              Words{"engine.max_resident", "--max-running"},
                              Words{"engine.prefill_batch_tokens", "--batch-tokens"},
                              Words{"engine.context_max", "--ctx"},
                              Words{"engine.threads", "--threads"},
                              Words{"isa", "--isa"},
                              Words{"temperature", "--temperature"},
                              Words{"top_k", "--top-k"},
                              Words{"top_p", "--top-p"},
                              Words{"min_p", "--min-p"},
                              Words{"presence_penalty", "--presence-penalty"},
                              Words{"frequency_penalty", "--frequency-penalty"},
                              Words{"repeat_penalty", "--repeat-penalty"},
                              Words{"max_tokens", "--max-tokens"},
                              Words{"think_tokens_max", "--think"}};
  for (const auto& [field, flag] : kFlags) {
    // Sampling fields stand in front; engine fields also inside ("lower engine.kv_bytes_max").
    const bool engine_field = field.starts_with("engine.");
    for (size_t at = 0; (at = error.message.find(field, at)) != std::string::npos;) {
      if (!engine_field && (at != 0 || error.message[field.size()] != ':')) break;
      error.message.replace(at, field.size(), flag);
      at += flag.size();
    }
  }
  return error;
}

std::string visible(std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    // C1 controls are two bytes in UTF-8, U+0080 to U+009F; some terminals obey them.
    const bool c1 = byte == 0xc2 && i + 1 < text.size() &&
                    static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c1) byte = static_cast<unsigned char>(text[++i]);
    if (c1 || (byte < 32 && byte != '\n' && byte != '\t') || byte == 127) {
      out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace swarm::cli
