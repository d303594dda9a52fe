// engine/grammar/schema_compiler.h — A JSON Schema to rules of a network. What is generated is a
// subset of what the schema admits, in one canonical form:
//   - separators ", " and ": ", no other white space; strings and numbers as in characters.h and
//     numbers.h;
//   - declared properties in declared order, then required undeclared ones, then additional ones;
//   - an object with "properties" (an array with "prefixItems") is closed unless
//     additionalProperties (items) says otherwise; additional keys differ from the declared ones
//     and from each other;
//   - without "type", the types that the other keywords speak about, else any value.
// oneOf is generated as anyOf once its branches are proven disjoint, else it is an error.
// format: date, time, date-time, uuid, ipv4, email, uri, hostname are generated from a strict
// subset of each; int32 bounds integers; int64, float, double say nothing that is not so anyway.
// Others are errors. Used by one thread. Errors name the keyword and the JSON pointer.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "engine/grammar/characters.h"
#include "engine/grammar/rtn.h"
#include "engine/grammar/schema_document.h"

namespace swarm::engine::grammar {

// Rules by content, shared by all documents of one grammar so that their token masks are shared.
class RuleSet {
 public:
  explicit RuleSet(RtnBuilder& builder) : builder_(builder) {}

  RtnBuilder& builder() { return builder_; }
  std::map<std::string, RuleId>& known() { return known_; }

  // The rule of this name, made by `write` the first time.
  Result<RuleId> once(const std::string& name, RuleKind kind,
                      const std::function<Result<Dfa>()>& write);
  Result<RuleId> any_value();
  Result<RuleId> any_of_type(const std::string& type);
  // A key with its closing quote that is none of these (canonical JSON, without quotes).
  Result<RuleId> key_except(const std::vector<std::string>& declared);

 private:
  Result<Dfa> any_object(RuleId value);
  Result<Dfa> any_array(RuleId value);

  RtnBuilder& builder_;
  std::map<std::string, RuleId> known_;
};

class SchemaCompiler {
 public:
  // root outlives the compiler. name: how errors call the document.
  SchemaCompiler(RuleSet& rules, const Json& root, std::string name)
      : rules_(rules), document_(root, name), name_(std::move(name)) {}

  Result<RuleId> compile() { return rule_for(document_.root(), ""); }

  // The properties of an object as <parameter=KEY>\nVALUE\n</parameter>\n, one after another.
  // Strings are raw text (also in unions), everything else JSON. Additional properties are not
  // generated.
  Result<Piece> xml_parameters(Nfa& nfa);
  // The same as <KEY>\nVALUE\n</KEY>, separated by line ends (OutputFormat::tags).
  Result<Piece> tagged_properties(Nfa& nfa);

 private:
  struct Property {
    std::string name;
    const Json* schema;  // nullptr: any value
    std::string path;
    bool required;
  };

  Result<RuleId> rule_for(const Json& schema, const std::string& path);
  Result<void> define(RuleId rule, const Json& flat, const std::string& path);
  Result<void> define_branches(RuleId rule, const Json& flat, const std::string& path);
  Result<void> define_listed(RuleId rule, const Json& flat, const std::string& path);
  Result<std::vector<Json>> admitted_values(const Json& flat, const std::string& path);
  Result<RuleId> rule_of_type(const Json& flat, const std::string& type, const std::string& path);
  Result<Dfa> of_type(const Json& flat, const std::string& type, const std::string& path);
  Result<Dfa> object(const Json& flat, const std::string& path);
  Result<Dfa> array(const Json& flat, const std::string& path);
  Result<Dfa> number(const Json& flat, bool integer, const std::string& path);
  Result<Dfa> text(const Json& flat, TextCoding coding, const std::string& path);
  Result<std::vector<Property>> properties(const Json& flat, const std::string& path);
  Result<std::optional<RuleId>> additional(const Json& flat, const std::string& path);
  Result<Json> xml_object();   // the root, flat; properties() points into it
  // end: what follows the value, which raw text may not contain.
  Result<Piece> xml_value(Nfa& nfa, const Property& property, const std::string& end);
  Result<Piece> xml_listed(Nfa& nfa, const Json& flat, const std::string& path,
                           const std::string& end);
  Result<std::vector<Json>> xml_branches(const Json& schema, const std::string& path, int nesting);
  Error wrong(const std::string& path, const std::string& what) const {
    return invalid_input(document_.at(path) + ": " + what);
  }
  // Adds the place to an error of a helper that knows only the value.
  Error placed(const Error& error, const std::string& path) const {
    return Error{error.kind, document_.at(path) + ": " + error.message};
  }

  RuleSet& rules_;
  SchemaDocument document_;
  std::string name_;
  int references_ = 0;  // bare references followed without reaching a rule
};

// "..." around a body of JSON-coded text.
Dfa quoted(const Dfa& body);
// The pattern of a supported "format", or nullptr.
const char* format_pattern(std::string_view format);

}  // namespace swarm::engine::grammar
