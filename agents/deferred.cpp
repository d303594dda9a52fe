#include "agents/deferred.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace swarm::agents {
namespace {

constexpr size_t kBytesPerToken = 4;
constexpr size_t kNamesMax = 200;
constexpr size_t kNameWeight = 3;     // a word of the name counts as much as three of the text

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> out;
  std::string word;
  for (const char c : text + " ") {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || std::isalnum(byte) != 0)
      word += byte < 0x80 ? static_cast<char>(std::tolower(byte)) : c;
    else if (!word.empty())
      out.push_back(std::exchange(word, {}));
  }
  return out;
}

// How many words of the query occur; "price" also finds "prices".
size_t hits(const std::vector<std::string>& query, const std::vector<std::string>& words) {
  size_t count = 0;
  for (const std::string& wanted : query)
    count += std::any_of(words.begin(), words.end(), [&](const std::string& word) {
      return word == wanted || (wanted.size() >= 4 && word.rfind(wanted, 0) == 0) ||
             (word.size() >= 4 && wanted.rfind(word, 0) == 0);
    });
  return count;
}

Json definition(const tools::ToolSpec& spec) {
  return Json{{"name", spec.name},
              {"description", spec.description},
              {"parameters", spec.parameters}};
}

// One line each, as chat templates write them.
std::string definition_text(std::span<const tools::ToolSpec> specs) {
  std::string out;
  for (const tools::ToolSpec& spec : specs)
    out += dump_json_spaced(Json{{"type", "function"}, {"function", definition(spec)}}) + "\n";
  return out;
}

tools::ToolSpec meta(const char* name, std::string description, Json parameters) {
  tools::ToolSpec spec;
  spec.name = name;
  spec.description = std::move(description);
  spec.parameters = std::move(parameters);
  spec.effect = tools::Effect::read;
  spec.origin = "deferred";
  return spec;
}

}  // namespace

DefinitionCost definition_cost(std::span<const tools::ToolSpec> specs, const TokenCounter& count) {
  const std::string text = definition_text(specs);
  if (count)
    if (const std::optional<size_t> tokens = count(text)) return {*tokens, true};
  return {(text.size() + kBytesPerToken - 1) / kBytesPerToken, false};
}

bool definitions_fit(std::span<const tools::ToolSpec> specs, size_t tokens_max,
                     const TokenCounter& count) {
  // No token is shorter than a byte.
  if (definition_text(specs).size() <= tokens_max) return true;
  return definition_cost(specs, count).tokens <= tokens_max;
}

DeferredTools::DeferredTools(std::vector<tools::ToolSpec> specs) : specs_(std::move(specs)) {
  const Json text = {{"type", "string"}};
  definitions_.push_back(
      meta(kSearch,
           "Finds tools by what they do; there are " + std::to_string(specs_.size()) +
               ". Returns their names, descriptions and parameters, to be used with call_tool.",
           Json{{"type", "object"},
                {"properties", {{"query", text}}},
                {"required", Json::array({"query"})},
                {"additionalProperties", false}}));
  definitions_.push_back(
      meta(kCall,
           "Calls a tool that search_tools has found, with arguments that fit its parameters.",
           Json{{"type", "object"},
                {"properties", {{"name", text}, {"arguments", {{"type", "object"}}}}},
                {"required", Json::array({"name", "arguments"})},
                {"additionalProperties", false}}));
}

void DeferredTools::add(std::vector<tools::ToolSpec> specs) {
  for (tools::ToolSpec& spec : specs) specs_.push_back(std::move(spec));
}

void DeferredTools::remove(const std::string& name) {
  std::erase_if(specs_, [&](const tools::ToolSpec& spec) { return spec.name == name; });
}

Result<std::string> DeferredTools::search(const Json& arguments) const {
  SWARM_TRY_VOID(tools::validate_json(definitions_[0].parameters, arguments));
  const std::vector<std::string> query = words_of(arguments.at("query").get<std::string>());
  std::vector<std::pair<size_t, size_t>> ranked;  // score, index
  for (size_t i = 0; i < specs_.size(); ++i) {
    const size_t score = kNameWeight * hits(query, words_of(specs_[i].name)) +
                         hits(query, words_of(specs_[i].description));
    if (score > 0) ranked.emplace_back(score, i);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string out;
  for (size_t i = 0; i < std::min(ranked.size(), kHitsMax); ++i)
    out += dump_json(definition(specs_[ranked[i].second])) + "\n";
  if (!out.empty()) return out;
  out = "nothing fits; the names are:";
  for (size_t i = 0; i < std::min(specs_.size(), kNamesMax); ++i) out += " " + specs_[i].name;
  return out;
}

Result<ToolCall> DeferredTools::unwrap(const ToolCall& call) {
  const Json& given = call.arguments;
  if (!given.is_object() || !given.contains("name") || !given.at("name").is_string())
    return invalid_input("call_tool: expected {\"name\": <tool>, \"arguments\": <object>}");
  ToolCall out;
  out.id = call.id;
  out.name = given.at("name").get<std::string>();
  out.arguments = given.value("arguments", Json::object());
  return out;
}

}  // namespace swarm::agents
