#include "orchestrator/config/expression.h"

#include <algorithm>
#include <charconv>

#include "orchestrator/config/schema.h"

namespace swarm::config {
namespace {

bool is_index(std::string_view text) {
  return !text.empty() && text.size() <= 9 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

Error malformed(std::string_view inside) {
  return invalid_input("expected a path such as ${inputs.name} or ${task.output}, found \"${" +
                       std::string(inside) + "}\"");
}

// "plan.output.files[0]" -> names and indices.
Result<Reference> parse_reference(std::string_view inside) {
  Reference reference;
  std::string_view rest = inside;
  while (true) {
    const size_t end = std::min(rest.find_first_of(".["), rest.size());
    const std::string_view name = rest.substr(0, end);
    if (!is_name(name)) return malformed(inside);
    reference.path.emplace_back(name);
    rest.remove_prefix(end);
    while (!rest.empty() && rest.front() == '[') {
      const size_t close = rest.find(']');
      if (close == std::string_view::npos || !is_index(rest.substr(1, close - 1)))
        return malformed(inside);
      reference.path.emplace_back(rest.substr(1, close - 1));
      rest.remove_prefix(close + 1);
    }
    if (rest.empty()) return reference;
    if (rest.front() != '.') return malformed(inside);
    rest.remove_prefix(1);
  }
}

}  // namespace

std::string Reference::text() const {
  std::string out;
  for (const std::string& step : path) {
    if (is_index(step)) {
      out += "[" + step + "]";
    } else {
      out += (out.empty() ? "" : ".") + step;
    }
  }
  return out;
}

bool Template::is_constant() const {
  return std::all_of(parts.begin(), parts.end(),
                     [](const Part& part) { return part.reference.path.empty(); });
}

Result<Template> parse_template(std::string_view text) {
  Template out;
  std::string literal;
  const auto flush = [&] {
    if (!literal.empty()) out.parts.push_back({literal, {}});
    literal.clear();
  };
  while (!text.empty()) {
    if (text.starts_with("$${")) {
      literal += "${";
      text.remove_prefix(3);
    } else if (text.starts_with("${")) {
      const size_t end = text.find('}');
      if (end == std::string_view::npos)
        return invalid_input("expected } after \"" + std::string(text.substr(0, 30)) + "\"");
      SWARM_TRY(Reference reference, parse_reference(text.substr(2, end - 2)));
      flush();
      out.parts.push_back({"", std::move(reference)});
      text.remove_prefix(end + 1);
    } else {
      literal += text.front();
      text.remove_prefix(1);
    }
  }
  flush();
  return out;
}

Result<Json> evaluate(const Template& text, const Lookup& lookup) {
  if (text.is_lone()) return lookup(text.parts[0].reference);
  std::string out;
  for (const Template::Part& part : text.parts) {
    if (part.reference.path.empty()) {
      out += part.literal;
      continue;
    }
    SWARM_TRY(const Json value, lookup(part.reference));
    out += value.is_string() ? value.get<std::string>() : dump_json(value);
  }
  return Json(out);
}

Result<Json> evaluate_all(const Json& value, const Lookup& lookup) {
  if (value.is_string()) {
    SWARM_TRY(const Template text, parse_template(value.get_ref<const std::string&>()));
    return evaluate(text, lookup);
  }
  if (!value.is_structured()) return value;
  Json out = value;
  for (Json& item : out) {
    SWARM_TRY(Json evaluated, evaluate_all(item, lookup));
    item = std::move(evaluated);
  }
  return out;
}

Result<std::vector<Reference>> references_in(const Json& value) {
  std::vector<Reference> out;
  if (value.is_string()) {
    SWARM_TRY(const Template text, parse_template(value.get_ref<const std::string&>()));
    for (const Template::Part& part : text.parts)
      if (!part.reference.path.empty()) out.push_back(part.reference);
  } else if (value.is_structured()) {
    for (const Json& item : value) {
      SWARM_TRY(const std::vector<Reference> found, references_in(item));
      out.insert(out.end(), found.begin(), found.end());
    }
  }
  return out;
}

Result<Json> walk(const Json& value, const Reference& reference, size_t from) {
  const Json* at = &value;
  for (size_t i = from; i < reference.path.size(); ++i) {
    const std::string& step = reference.path[i];
    size_t index = 0;
    if (at->is_object() && at->contains(step)) {
      at = &(*at)[step];
    } else if (at->is_array() && is_index(step) &&
               std::from_chars(step.data(), step.data() + step.size(), index).ec == std::errc() &&
               index < at->size()) {
      at = &(*at)[index];
    } else {
      return failed("${" + reference.text() + "}: no \"" + step + "\" in that value");
    }
  }
  return *at;
}

}  // namespace swarm::config
