// Not a parser of HTML: one pass that forgets markup. Linear time on any bytes.
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

#include "engine/base/utf8.h"
#include "tools/http_fetch.h"

namespace swarm::tools {
namespace {

constexpr size_t kEntityMax = 12;
constexpr size_t kLinkMax = 500;

constexpr std::array<std::string_view, 5> kSilent{"script", "style", "head", "noscript",
                                                  "template"};
constexpr std::array<std::string_view, 27> kBlocks{
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt",
    "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li",
    "nav", "ol", "p", "section", "table", "tr", "ul"};

template <size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// "&amp;" at the begin of text: appends what it means and returns its length, 0 for none.
size_t entity(std::string_view text, std::string& out) {
  static constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"amp", "&"}, {"lt", "<"}, {"gt", ">"}, {"quot", "\""}, {"apos", "'"}, {"nbsp", " "},
      {"ndash", "-"}, {"mdash", "-"}, {"hellip", "..."}, {"copy", "(c)"}};
  const size_t end = text.substr(0, kEntityMax).find(';');
  if (end == std::string_view::npos) return 0;
  std::string_view name = text.substr(1, end - 1);
  for (const auto& [known, meaning] : kNames)
    if (name == known) return out += meaning, end + 1;
  if (name.size() < 2 || name[0] != '#') return 0;
  const bool hex = name[1] == 'x' || name[1] == 'X';
  name.remove_prefix(hex ? 2 : 1);
  uint32_t code = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), code, hex ? 16 : 10);
  if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size() || code == 0) return 0;
  utf8_append(out, code);
  return end + 1;
}

class Reader {
 public:
  explicit Reader(std::string_view html) : html_(html) {}

  std::string read() {
    while (at_ < html_.size()) {
      if (html_[at_] == '<')
        markup();
      else
        character();
    }
    while (!out_.empty() && (out_.back() == '\n' || out_.back() == ' ')) out_.pop_back();
    return utf8_sanitize(out_);
  }

 private:
  void character() {
    const char c = html_[at_];
    if (c == '&')
      if (const size_t length = entity(html_.substr(at_), out_)) {
        at_ += length;
        return;
      }
    ++at_;
    if (std::isspace(static_cast<unsigned char>(c)) == 0)
      out_ += c;
    else if (!out_.empty() && out_.back() != ' ' && out_.back() != '\n')
      out_ += ' ';
  }

  void new_line() {
    while (!out_.empty() && out_.back() == ' ') out_.pop_back();
    const bool blank = out_.size() >= 2 && out_[out_.size() - 1] == '\n' &&
                       out_[out_.size() - 2] == '\n';
    if (!out_.empty() && !blank) out_ += '\n';
  }

  void markup() {
    if (html_.substr(at_, 4) == "<!--") return skip_past("-->");
    const size_t end = html_.find('>', at_);
    if (end == std::string_view::npos) {
      at_ = html_.size();
      return;
    }
    const std::string_view tag = html_.substr(at_ + 1, end - at_ - 1);
    const bool closing = !tag.empty() && tag[0] == '/';
    const std::string_view rest = closing ? tag.substr(1) : tag;
    size_t length = 0;
    while (length < rest.size() && std::isalnum(static_cast<unsigned char>(rest[length])) != 0)
      ++length;
    const std::string name = lower(rest.substr(0, length));
    at_ = end + 1;
    if (!closing && is_one_of(name, kSilent) && !tag.ends_with('/'))
      return skip_past("</" + name);
    if (is_one_of(name, kBlocks)) new_line();
    if (name == "li" && !closing) out_ += "- ";
    if ((name == "td" || name == "th") && closing) out_ += " ";
    if (name != "a") return;
    if (!closing) link_ = address(rest);
    if (closing && !link_.empty()) out_ += " (" + std::exchange(link_, {}) + ")";
  }

  // To the end of `end`, without regard to case; a tag's rest up to its '>' included.
  void skip_past(const std::string& end) {
    for (; at_ < html_.size(); ++at_) {
      if (html_[at_] != end[0] || lower(html_.substr(at_, end.size())) != end) continue;
      at_ += end.size();
      if (end.back() == '>') return;
      at_ = std::min(html_.find('>', at_), html_.size() - 1) + 1;
      return;
    }
  }

  static std::string address(std::string_view tag) {
    const size_t at = lower(tag).find("href=");
    if (at == std::string::npos || at + 5 >= tag.size()) return "";
    std::string_view value = tag.substr(at + 5);
    const char quote = value[0];
    const bool quoted = quote == '"' || quote == '\'';
    if (quoted) value.remove_prefix(1);
    value = value.substr(0, quoted ? value.find(quote) : value.find_first_of(" \t\n"));
    if (value.size() > kLinkMax || value.starts_with('#') || value.starts_with("javascript:"))
      return "";
    return std::string(value);
  }

  std::string_view html_;
  size_t at_ = 0;
  std::string out_, link_;
};

}  // namespace

std::string html_to_text(std::string_view html) { return Reader(html).read(); }

}  // namespace swarm::tools
