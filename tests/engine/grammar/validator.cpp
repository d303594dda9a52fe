#include "tests/engine/grammar/validator.h"

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

namespace swarm::test {

namespace {

void erase_formats(nlohmann::json& schema) {
  if (schema.is_object() && schema.contains("format") && schema["format"].is_string()) {
    schema.erase("format");
  }
  for (nlohmann::json& inner : schema) {
    if (inner.is_structured()) erase_formats(inner);
  }
}

std::string problems_of(const nlohmann::json& schema_json, const nlohmann::json& value) {
  valijson::Schema schema;
  valijson::SchemaParser parser;
  parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(schema_json), schema);
  valijson::Validator validator(valijson::Validator::kStrongTypes);
  valijson::ValidationResults results;
  if (validator.validate(schema, valijson::adapters::NlohmannJsonAdapter(value), &results)) {
    return "";
  }
  std::string problems;
  valijson::ValidationResults::Error error;
  while (results.popError(error)) {
    for (const std::string& step : error.context) problems += step;
    problems += ": " + error.description + "\n";
  }
  return problems.empty() ? "invalid" : problems;
}

}  // namespace

std::string judge(const std::string& schema_text, const std::string& text) {
  if (!nlohmann::json::accept(text)) return "not JSON";
  nlohmann::json schema = nlohmann::json::parse(schema_text);
  const nlohmann::json value = nlohmann::json::parse(text);
  try {
    return problems_of(schema, value);
  } catch (const std::runtime_error&) {
    // It throws on "format" where the value is no string (a branch that does not match). The other
    // judge, judge_pairs.py, checks formats everywhere.
    erase_formats(schema);
    return problems_of(schema, value);
  }
}

}  // namespace swarm::test
