// Skill files against their entries.
#include <doctest/doctest.h>

#include <string>

#include "mcp/client/skills.h"

namespace swarm::mcp {
namespace {

const std::string kSkill = "---\nname: pdf\ndescription: \"Fill: forms\"\n---\n\nBody.\n";

// Of "abc", FIPS 180-4 appendix B.1.
constexpr const char* kAbc =
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

Json entry() {
  Json out = Json::object();
  out["uri"] = "skill://pdf/SKILL.md";
  out["frontmatter"]["name"] = "pdf";
  out["frontmatter"]["description"] = "Fill: forms";
  out["resources"] = Json::array({Json{{"uri", "skill://pdf/abc"}, {"digest", kAbc}, {"size", 3}}});
  return out;
}

std::string problem(const Json& entry, const std::string& uri, const std::string& bytes) {
  const auto verified = verify_skill_file(entry, uri, bytes);
  return verified ? "" : verified.error().message;
}

}  // namespace

TEST_CASE("skills: a file must have the size and the digest that were announced") {
  CHECK(problem(entry(), "skill://pdf/abc", "abc") == "");
  CHECK(problem(entry(), "skill://pdf/abc", "abd").find("its digest") != std::string::npos);
  CHECK(problem(entry(), "skill://pdf/abc", "abcd").find("its size is 4") != std::string::npos);
  CHECK(problem(entry(), "skill://pdf/other", "abc").find("not listed") != std::string::npos);
  Json odd = entry();
  odd["resources"][0]["size"] = -3;
  CHECK(problem(odd, "skill://pdf/abc", "abc").find("its size") != std::string::npos);
  CHECK(problem(Json(), "skill://pdf/abc", "abc").find("not listed") != std::string::npos);
}

TEST_CASE("skills: SKILL.md must also say of itself what was announced") {
  Json good = entry();
  // sha256sum of the text above.
  good["resources"].push_back(
      Json{{"uri", "skill://pdf/SKILL.md"},
           {"digest",
            "sha256:c42f647f73731a376b1b45e3534ca9e912753440ada355896324e5f0ef736632"},
           {"size", 52}});
  CHECK(problem(good, "skill://pdf/SKILL.md", kSkill) == "");
  Json other = good;
  other["frontmatter"]["description"] = "Harmless";
  CHECK(problem(other, "skill://pdf/SKILL.md", kSkill).find("\"description\"") !=
        std::string::npos);
  Json more = good;
  more["frontmatter"]["license"] = "MIT";
  CHECK(problem(more, "skill://pdf/SKILL.md", kSkill).find("\"license\"") != std::string::npos);
  Json less = good;
  less["frontmatter"].erase("description");
  CHECK(problem(less, "skill://pdf/SKILL.md", kSkill).find("\"description\"") !=
        std::string::npos);
}

TEST_CASE("skills: frontmatter is texts only, each compared with its announcement") {
  const auto found = parse_frontmatter(kSkill);
  REQUIRE(found.has_value());
  CHECK(dump_json(*found) == R"({"name":"pdf","description":"Fill: forms"})");
  CHECK(parse_frontmatter("---\na: 'it''s'\nb: plain # note\n---\n").value() ==
        Json{{"a", "it's"}, {"b", "plain"}});
  for (const char* bad : {"", "name: x\n", "---\nname: x\n", "---\nname: [x]\n---\n",
                          "---\nname: |\n  x\n---\n", "---\nname: x\nname: y\n---\n",
                          "---\nname:\n  sub: x\n---\n", "---\n: x\n---\n",
                          "---\nname: \"x\n---\n", "---\nname: 'x\n---\n",
                          "---\nname: *x\n---\n"}) {
    CAPTURE(std::string(bad));
    CHECK_FALSE(parse_frontmatter(bad).has_value());
  }
}

TEST_CASE("skills: one content, as text or as base64") {
  const auto text = [](const char* json) { return resource_bytes(parse_json(json).value()); };
  CHECK(text(R"({"contents":[{"uri":"a","text":"x"}]})").value() == "x");
  CHECK(text(R"({"contents":[{"uri":"a","blob":"YWJj"}]})").value() == "abc");
  CHECK_FALSE(text(R"({"contents":[]})").has_value());
  CHECK_FALSE(text(R"({"contents":[{"uri":"a","blob":"?"}]})").has_value());
  CHECK_FALSE(text(R"([])").has_value());
  CHECK_FALSE(text(R"({"contents":[{"text":"a"},{"text":"b"}]})").has_value());
}

}  // namespace swarm::mcp
