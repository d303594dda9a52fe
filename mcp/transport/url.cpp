#include "mcp/transport/url.h"

#include <algorithm>
#include <charconv>

#include "mcp/message/ascii.h"

namespace swarm::mcp {
namespace {

Error bad(std::string_view text, std::string_view why) {
  return invalid_input("url \"" + std::string(text) + "\": " + std::string(why));
}

bool is_clean(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte != 0x7f && c != '"' && c != '<' && c != '>' && c != '\\';
  });
}

// "host", "host:80", "[::1]:80"
Result<void> read_authority(std::string_view text, std::string_view authority, Url& out) {
  if (authority.find('@') != std::string_view::npos)
    return bad(text, "user information is not accepted");
  std::string_view port;
  if (!authority.empty() && authority[0] == '[') {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad(text, "expected \"]\"");
    out.host = lower(authority.substr(1, close - 1));
    port = authority.substr(close + 1);
  } else {
    const size_t colon = authority.find(':');
    out.host = lower(authority.substr(0, colon));
    if (colon != std::string_view::npos) port = authority.substr(colon);
  }
  if (out.host.empty()) return bad(text, "expected a host");
  out.port = out.tls() ? 443 : 80;
  if (port.empty()) return {};
  port.remove_prefix(1);
  if (port.empty()) return {};
  uint16_t number = 0;
  const auto [end, code] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (code != std::errc() || end != port.data() + port.size() || number == 0)
    return bad(text, "expected a port from 1 to 65535");
  out.explicit_port = number != out.port;
  out.port = number;
  return {};
}

std::string without_dots(std::string_view path) {
  std::vector<std::string_view> kept;
  bool folder = false;
  size_t begin = 1;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    folder = part == "." || part == "..";
    if (part == ".." && !kept.empty()) kept.pop_back();
    if (!folder) kept.push_back(part);
    begin = end + 1;
  }
  std::string out;
  for (const std::string_view part : kept) out += "/" + std::string(part);
  return out.empty() || folder ? out + "/" : out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string Url::authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return explicit_port ? name + ":" + std::to_string(port) : name;
}

std::string Url::origin() const { return scheme + "://" + authority(); }

Result<Url> parse_url(std::string_view text) {
  Url out;
  const size_t colon = text.find("://");
  if (colon == std::string_view::npos) return bad(text, "expected http:// or https://");
  out.scheme = lower(text.substr(0, colon));
  if (out.scheme != "http" && out.scheme != "https")
    return bad(text, "expected http:// or https://");
  if (!is_clean(text)) return bad(text, "contains a character that no URL may contain");
  std::string_view rest = text.substr(colon + 3);
  rest = rest.substr(0, rest.find('#'));
  const size_t end = std::min(rest.find_first_of("/?"), rest.size());
  SWARM_TRY_VOID(read_authority(text, rest.substr(0, end), out));
  rest.remove_prefix(end);
  const size_t question = rest.find('?');
  out.path = std::string(rest.substr(0, question));
  out.has_path = !out.path.empty();
  if (question != std::string_view::npos) out.query = std::string(rest.substr(question));
  if (out.path.empty()) out.path = "/";
  return out;
}

Result<Url> resolve_url(const Url& base, std::string_view reference) {
  if (reference.find("://") != std::string_view::npos &&
      reference.find("://") < reference.find_first_of("/?#"))
    return parse_url(reference);
  if (reference.substr(0, 2) == "//") return parse_url(base.scheme + ":" + std::string(reference));
  if (reference.empty() || reference[0] == '#') return base;
  if (reference[0] == '?') return parse_url(base.text() + std::string(reference));
  std::string path(reference.substr(0, reference.find_first_of("?#")));
  const std::string rest(reference.substr(path.size()));
  if (path[0] != '/') path = base.path.substr(0, base.path.rfind('/') + 1) + path;
  return parse_url(base.origin() + without_dots(path) + rest);
}

bool is_loopback_name(std::string_view host) {
  return host == "localhost" || host == "::1" || host.substr(0, 4) == "127." ||
         (host.size() > 10 && host.substr(host.size() - 10) == ".localhost");
}

std::string percent_encode(std::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string form_encode(const Parameters& parameters) {
  std::string out;
  for (const auto& [name, value] : parameters) {
    if (!out.empty()) out += '&';
    out += percent_encode(name) + "=" + percent_encode(value);
  }
  return out;
}

Parameters query_parameters(std::string_view query) {
  Parameters out;
  if (!query.empty() && query[0] == '?') query.remove_prefix(1);
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    std::string pair(query.substr(0, end));
    std::replace(pair.begin(), pair.end(), '+', ' ');
    const size_t equals = std::min(pair.find('='), pair.size());
    const std::string value = equals < pair.size() ? pair.substr(equals + 1) : "";
    if (!pair.empty())
      out.emplace_back(percent_decode(pair.substr(0, equals)), percent_decode(value));
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return out;
}

const std::string* find_parameter(const Parameters& parameters, std::string_view name) {
  for (const auto& [key, value] : parameters)
    if (key == name) return &value;
  return nullptr;
}

}  // namespace swarm::mcp
