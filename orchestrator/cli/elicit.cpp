#include "orchestrator/cli/elicit.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "orchestrator/cli/checks.h"
#include "orchestrator/cli/text.h"
#include "tools/tool.h"

namespace swarm::cli {
namespace {

constexpr int kTriesMax = 5;           // for one field
constexpr size_t kFieldsMax = 50;
constexpr size_t kUrlBytesMax = 4000;
constexpr size_t kAskedTextMax = 2000; // of what a server says

std::string said_in(const Json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// On one line, bounded, without control characters.
std::string shown(std::string text) {
  if (text.size() > kAskedTextMax) text = text.substr(0, kAskedTextMax) + "...";
  std::replace(text.begin(), text.end(), '\n', ' ');
  return visible(text);
}

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
}

// Values and the names people know them by, in any of the forms of a choice.
struct Choice {
  Json value;
  std::string title;
};
std::vector<Choice> choices_of(const Json& schema) {
  std::vector<Choice> out;
  for (const char* key : {"oneOf", "anyOf"})
    if (const auto found = schema.find(key); found != schema.end() && found->is_array())
      for (const Json& one : *found)
        if (one.is_object() && one.contains("const"))
          out.push_back({one.at("const"), said_in(one, "title")});
  const auto values = schema.find("enum");
  if (values == schema.end() || !values->is_array()) return out;
  const auto names = schema.find("enumNames");
  for (size_t i = 0; i < values->size(); ++i) {
    const bool named = names != schema.end() && names->is_array() && i < names->size() &&
                       names->at(i).is_string();
    out.push_back({values->at(i), named ? names->at(i).get<std::string>() : ""});
  }
  return out;
}

Result<Json> chosen(const std::vector<Choice>& choices, const std::string& typed) {
  for (const Choice& one : choices)
    if (as_text(one.value) == typed || (!one.title.empty() && one.title == typed))
      return one.value;
  const bool number = !typed.empty() && typed.size() < 6 &&
                      typed.find_first_not_of("0123456789") == std::string::npos;
  const size_t index = number ? std::stoul(typed) : 0;
  if (index >= 1 && index <= choices.size()) return choices[index - 1].value;
  return invalid_input("expected one of the choices, or its number, found \"" + typed + "\"");
}

Result<Json> several(const Json& items, const std::string& typed) {
  const std::vector<Choice> choices = choices_of(items);
  Json out = Json::array();
  for (size_t begin = 0; begin <= typed.size();) {
    const size_t end = std::min(typed.find(',', begin), typed.size());
    const std::string one = trimmed(typed.substr(begin, end - begin));
    begin = end + 1;
    if (one.empty()) continue;
    if (choices.empty()) {
      out.push_back(one);
      continue;
    }
    SWARM_TRY(Json value, chosen(choices, one));
    out.push_back(std::move(value));
  }
  return out;
}

Result<Json> plain_value(const std::string& type, const std::string& typed) {
  if (type == "boolean") {
    const std::array<const char*, 3> yes{"y", "yes", "true"}, no{"n", "no", "false"};
    if (std::find(yes.begin(), yes.end(), typed) != yes.end()) return Json(true);
    if (std::find(no.begin(), no.end(), typed) != no.end()) return Json(false);
    return invalid_input("expected yes or no, found \"" + typed + "\"");
  }
  if (type == "number" || type == "integer") {
    const auto value = parse_json(typed);
    if (value && value->is_number()) return *value;
    return invalid_input("expected a number, found \"" + typed + "\"");
  }
  return Json(typed);
}

// Formats are asserted here only: a server that asks for a date can do nothing with another text.
Result<void> check_format(const Json& schema, const std::string& text) {
  const std::string format = said_in(schema, "format");
  const char* pattern = format == "email"       ? "[^@\\s]+@[^@\\s]+"
                        : format == "uri"       ? "[A-Za-z][A-Za-z0-9+.-]*:\\S+"
                        : format == "date"      ? "\\d{4}-\\d{2}-\\d{2}"
                        : format == "date-time" ? "\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}"
                                                  "(\\.\\d+)?(Z|[+-]\\d{2}:\\d{2})"
                                                : nullptr;
  if (pattern == nullptr) return {};
  const Json whole{{"pattern", "^(" + std::string(pattern) + ")$"}};
  if (tools::validate_json(whole, Json(text))) return {};
  const std::string example = format == "date"        ? ", such as 2026-07-28"
                              : format == "date-time" ? ", such as 2026-07-28T09:30:00Z"
                                                      : "";
  return invalid_input("expected format " + format + example + ", found \"" + text + "\"");
}

// "from 0 to 120", "at least 2 characters"
std::string bounds_of(const Json& schema) {
  std::string out;
  const auto add = [&](const char* key, const char* before, const char* after) {
    if (const auto found = schema.find(key); found != schema.end() && found->is_number())
      out += std::string(", ") + before + dump_json(*found) + after;
  };
  add("minimum", "from ", "");
  add("maximum", "up to ", "");
  add("minLength", "at least ", " characters");
  add("maxLength", "at most ", " characters");
  add("minItems", "at least ", "");
  add("maxItems", "at most ", "");
  return out;
}

bool smells_of_secrets(const std::string& name) {
  std::string low = name;
  std::transform(low.begin(), low.end(), low.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* word : {"passw", "secret", "token", "api key", "api_key", "apikey", "pin code"})
    if (low.find(word) != std::string::npos) return true;
  return false;
}

struct Ended {
  const char* action;
};

// The value of one field; nullopt: it is left out.
Async<std::optional<Json>> ask_field(Desk& desk, std::string name, Json schema, bool required,
                                     std::optional<Ended>& ended) {
  desk.show(field_line(name, schema, required));
  if (smells_of_secrets(name + " " + said_in(schema, "title")))
    desk.show("  (a server must not ask for secrets in this way)");
  const std::vector<Choice> choices =
      choices_of(schema.contains("items") ? schema.at("items") : schema);
  for (size_t i = 0; i < choices.size(); ++i)
    desk.show("    " + std::to_string(i + 1) + " = " +
              shown(choices[i].title.empty() ? as_text(choices[i].value) : choices[i].title));
  for (int tries = 0; tries < kTriesMax; ++tries) {
    const std::optional<std::string> line = co_await desk.read();
    const std::string typed = trimmed(line.value_or("/cancel"));
    if (typed == "/cancel" || typed == "/decline") {
      ended = Ended{typed == "/cancel" ? "cancel" : "decline"};
      co_return std::nullopt;
    }
    if (typed.empty() && (!required || schema.contains("default"))) co_return std::nullopt;
    const auto value = field_value(schema, typed);
    if (value) co_return *value;
    desk.show("  " + shown(value.error().message));
  }
  ended = Ended{"cancel"};
  co_return std::nullopt;
}

Json answer(const char* action) { return Json{{"action", action}}; }

Async<bool> agrees(Desk& desk, std::string question) {
  desk.show(question);
  const std::optional<std::string> line = co_await desk.read();
  const std::string typed = trimmed(line.value_or(""));
  co_return typed == "y" || typed == "Y" || typed == "yes";
}

// A member of that kind; otherwise: what stands for one that is not there, or of another kind.
Json part(const Json& whole, const char* key, Json otherwise) {
  const auto found = whole.find(key);
  return found != whole.end() && found->type() == otherwise.type() ? *found : otherwise;
}

Async<Json> ask_form(Desk& desk, std::string server, Json params) {
  desk.show("server " + shown(server) + " asks: " + shown(said_in(params, "message")));
  desk.show("line by line; empty = leave it out; /decline or /cancel ends it");
  const Json schema = part(params, "requestedSchema", Json::object());
  const Json fields = part(schema, "properties", Json::object());
  const Json required = part(schema, "required", Json::array());
  if (fields.size() > kFieldsMax)
    throw ErrorException(invalid_input("requestedSchema: expected at most " +
                                       std::to_string(kFieldsMax) + " properties"));
  Json content = Json::object();
  std::optional<Ended> ended;
  for (const auto& [name, field] : fields.items()) {
    const bool needed = std::find(required.begin(), required.end(), Json(name)) != required.end();
    const Json asked = field.is_object() ? field : Json::object();
    std::optional<Json> value = co_await ask_field(desk, name, asked, needed, ended);
    if (ended) co_return answer(ended->action);
    if (value) content[name] = std::move(*value);
  }
  desk.show("  " + shown(dump_json(content)));
  const std::string question = "send this to " + shown(server) + "? y = yes, N = no";
  const bool yes = co_await agrees(desk, question);
  if (!yes) co_return answer("decline");
  Json out = answer("accept");
  out["content"] = std::move(content);
  co_return out;
}

Async<Json> ask_url(Desk& desk, std::string server, Json params) {
  const std::string url = said_in(params, "url");
  if (!url.starts_with("https://") && !url.starts_with("http://"))
    throw ErrorException(invalid_input("url: expected https:// or http://"));
  desk.show("server " + shown(server) + " asks you to open a page: " +
            shown(said_in(params, "message")));
  for (const std::string& line : url_lines(url)) desk.show(line);
  const std::string question = "open it yourself if you trust it; going on? y = yes, N = no";
  const bool yes = co_await agrees(desk, question);
  co_return answer(yes ? "accept" : "decline");
}

Async<Json> elicit(std::shared_ptr<Desk> desk, std::string server, Json params) {
  const Desk::Turn turn = co_await desk->turn();
  if (said_in(params, "mode") == "url")
    co_return co_await ask_url(*desk, std::move(server), std::move(params));
  co_return co_await ask_form(*desk, std::move(server), std::move(params));
}

}  // namespace

run::Elicit make_elicit(std::shared_ptr<Desk> desk) {
  return [desk = std::move(desk)](std::string server, Json params) {
    return elicit(desk, std::move(server), std::move(params));
  };
}

std::string field_line(const std::string& name, const Json& schema, bool required) {
  std::string type = said_in(schema, "type");
  if (!choices_of(schema).empty()) type = "one of";
  if (type == "array") type = "several, with commas";
  std::string out = "  " + shown(name) + " (" + shown(type.empty() ? "text" : type);
  if (const std::string format = said_in(schema, "format"); !format.empty())
    out += ", " + shown(format);
  out += bounds_of(schema);
  if (schema.contains("default")) {
    out += ", unset = " + shown(as_text(schema.at("default")));
  } else if (required) {
    out += ", required";
  }
  out += ")";
  const std::string title = said_in(schema, "title"), about = said_in(schema, "description");
  if (!title.empty()) out += ": " + shown(title);
  if (!about.empty()) out += (title.empty() ? ": " : ", ") + shown(about);
  return out;
}

Result<Json> field_value(const Json& schema, const std::string& typed) {
  const std::string type = said_in(schema, "type");
  const std::vector<Choice> choices = choices_of(schema);
  Json value;
  if (!choices.empty()) {
    SWARM_TRY(value, chosen(choices, typed));
  } else if (type == "array") {
    SWARM_TRY(value, several(schema.contains("items") ? schema.at("items") : Json(), typed));
  } else {
    SWARM_TRY(value, plain_value(type, typed));
    if (value.is_string()) SWARM_TRY_VOID(check_format(schema, typed));
  }
  const auto valid = tools::validate_json(schema, value);
  if (!valid && valid.error().kind != ErrorKind::unsupported) return valid.error();
  return value;
}

std::vector<std::string> url_lines(const std::string& url) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string plain;
  for (const char c : url.substr(0, kUrlBytesMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f) {
      plain += c;
    } else {
      plain += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  if (url.size() > kUrlBytesMax) plain += "... (" + std::to_string(url.size()) + " bytes)";
  const size_t begin = std::min(plain.find("://") + 3, plain.size());
  std::string host = plain.substr(begin, plain.find_first_of("/?#", begin) - begin);
  const size_t at = host.rfind('@');
  std::vector<std::string> out{"  " + plain};
  if (at != std::string::npos) host = host.substr(at + 1);
  out.push_back("  at host " + host);
  if (at != std::string::npos)
    out.push_back("  warning: what stands before the @ is a name, not the host");
  if (host.find("xn--") != std::string::npos || host.find('%') != std::string::npos)
    out.push_back("  warning: the host has letters of other scripts and may look like another one");
  if (url.starts_with("http://")) out.push_back("  warning: the connection would not be encrypted");
  return out;
}

}  // namespace swarm::cli
