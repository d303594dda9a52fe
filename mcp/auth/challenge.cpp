#include "mcp/auth/challenge.h"

#include <algorithm>
#include <sstream>

#include "mcp/message/ascii.h"

namespace swarm::mcp {
namespace {

constexpr size_t kHeaderMax = 16 * 1024;

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  std::vector<Challenge> read() {
    std::vector<Challenge> out;
    while (skip(), at_ < text_.size()) {
      const std::string name = token();
      if (name.empty()) {  // nothing we know: past the next comma
        at_ = std::min(text_.find(',', at_), text_.size());
        continue;
      }
      blanks();
      const bool parameter = peek() == '=' && !out.empty();
      if (!parameter) {
        out.push_back({lower(name), {}});
        continue;
      }
      ++at_;
      blanks();
      out.back().parameters.emplace_back(lower(name), value());
    }
    return out;
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void blanks() {
    while (peek() == ' ' || peek() == '\t') ++at_;
  }
  void skip() {
    while (peek() == ' ' || peek() == '\t' || peek() == ',') ++at_;
  }
  std::string token() {
    const size_t begin = at_;
    while (at_ < text_.size() && is_token_char(text_[at_])) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }
  std::string value() {
    if (peek() != '"') {  // some servers do not quote URLs
      const size_t begin = at_;
      while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != ' ') ++at_;
      return std::string(text_.substr(begin, at_ - begin));
    }
    std::string out;
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      out += text_[at_];
    }
    if (at_ < text_.size()) ++at_;
    return out;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

const std::string* Challenge::find(std::string_view name) const {
  for (const auto& [key, value] : parameters)
    if (key == name) return &value;
  return nullptr;
}

std::vector<Challenge> parse_challenges(std::string_view header) {
  return Reader(header.substr(0, kHeaderMax)).read();
}

BearerChallenge bearer_challenge(const Headers& headers) {
  BearerChallenge out;
  for (const std::string& header : all_headers(headers, "WWW-Authenticate"))
    for (const Challenge& challenge : parse_challenges(header)) {
      if (challenge.scheme != "bearer" && challenge.scheme != "dpop") continue;
      const auto take = [&](const char* name, std::string& into) {
        if (const std::string* value = challenge.find(name); value && into.empty()) into = *value;
      };
      take("resource_metadata", out.resource_metadata);
      take("scope", out.scope);
      take("error", out.error);
    }
  return out;
}

std::string united_scopes(const std::string& a, const std::string& b) {
  std::vector<std::string> words;
  std::istringstream in(a + " " + b);
  for (std::string word; in >> word;)
    if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

bool has_scope(const std::string& scopes, std::string_view one) {
  std::istringstream in(scopes);
  for (std::string word; in >> word;)
    if (word == one) return true;
  return false;
}

}  // namespace swarm::mcp
