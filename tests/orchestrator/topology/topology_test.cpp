#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "orchestrator/topology/encoder.h"
#include "orchestrator/topology/topology.h"

using namespace swarm;
using namespace swarm::topology;

namespace {

using Pair = std::pair<int32_t, int32_t>;

std::vector<Pair> edges_of(const Options& options, const RoundInput& input = {}) {
  const auto topology = make_topology(options);
  REQUIRE(topology.has_value());
  std::vector<Pair> out;
  for (const Edge& edge : (*topology)->route(input).edges) out.emplace_back(edge.from, edge.to);
  return out;
}

}  // namespace

TEST_CASE("topology: each fixed kind draws its own picture") {
  using V = std::vector<Pair>;
  CHECK(edges_of({.kind = Kind::single, .agents = 1}).empty());
  CHECK(edges_of({.kind = Kind::none, .agents = 4}).empty());
  CHECK(edges_of({.kind = Kind::chain, .agents = 3}) == V{{0, 1}, {1, 2}});
  CHECK(edges_of({.kind = Kind::ring, .agents = 3}) == V{{2, 0}, {0, 1}, {1, 2}});
  CHECK(edges_of({.kind = Kind::ring, .agents = 2}) == V{{1, 0}, {0, 1}});
  CHECK(edges_of({.kind = Kind::ring, .agents = 1}).empty());
  CHECK(edges_of({.kind = Kind::star, .agents = 3}) == V{{1, 0}, {2, 0}, {0, 1}, {0, 2}});
  CHECK(edges_of({.kind = Kind::full, .agents = 3}).size() == 6);
  CHECK(edges_of({.kind = Kind::debate, .agents = 3}).size() == 6);
  CHECK(edges_of({.kind = Kind::layered, .agents = 4, .layers = {{0, 1}, {2}, {3}}}) ==
        V{{0, 2}, {1, 2}, {2, 3}});
  CHECK(edges_of({.kind = Kind::fixed, .agents = 3, .edges = {{2, 0}, {0, 1}}}) ==
        V{{2, 0}, {0, 1}});
}

TEST_CASE("topology: impossible options are refused") {
  CHECK(make_topology({.kind = Kind::full, .agents = 0}).has_error());
  CHECK(make_topology({.kind = Kind::single, .agents = 2}).has_error());
  CHECK(make_topology({.kind = Kind::dytopo, .agents = 2, .match = {.k_in = 0}}).has_error());
  CHECK(make_topology({.kind = Kind::fixed, .agents = 2, .edges = {{1, 1}}}).has_error());
  CHECK(make_topology({.kind = Kind::fixed, .agents = 2, .edges = {{0, 2}}}).has_error());
  CHECK(make_topology({.kind = Kind::fixed, .agents = 2, .edges = {{0, 1}, {0, 1}}}).has_error());
  CHECK(make_topology({.kind = Kind::layered, .agents = 3, .layers = {{0}, {1}}}).has_error());
  CHECK(make_topology({.kind = Kind::layered, .agents = 2, .layers = {{0, 1}, {1}}}).has_error());
}

TEST_CASE("topology: kind names round-trip") {
  for (const std::string& name : kind_names()) CHECK(to_string(parse_kind(name).value()) == name);
  CHECK(!parse_kind("mesh"));
}

TEST_CASE("topology: random draws the asked number, per round, from the seed") {
  const Options options{.kind = Kind::random, .agents = 5, .random_edges = 7, .seed = 3};
  const auto first = edges_of(options, {.round = 0});
  CHECK(first.size() == 7);
  CHECK(edges_of(options, {.round = 0}) == first);
  CHECK(edges_of(options, {.round = 1}) != first);
  CHECK(edges_of({.kind = Kind::random, .agents = 5, .random_edges = 7, .seed = 4}) != first);
  for (const auto& [from, to] : first) CHECK(from != to);
  CHECK(edges_of({.kind = Kind::random, .agents = 2, .random_edges = 99}).size() == 2);
}

TEST_CASE("topology: matched random has as many edges as DyTopo and keeps its cap") {
  ScoreMatrix scores(5, 0.0);
  for (int32_t j = 1; j < 5; ++j) scores.set(0, j, 0.9);
  scores.set(3, 4, 0.8);
  const MatchOptions match_options{.tau = 0.5, .k_in = 2};
  REQUIRE(match(scores, match_options).edges.size() == 3);
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const auto topology = make_topology(
        {.kind = Kind::random, .agents = 5, .match = match_options, .seed = seed});
    REQUIRE(topology.has_value());
    const Routing routing = (*topology)->route({.round = 0, .scores = scores});
    CHECK(routing.edges.size() == 3);
    for (const auto& providers : routing.incoming) CHECK(providers.size() <= 2);
  }
}

TEST_CASE("encoder: words are case-folded runs of letters and digits of any script") {
  using Words = std::vector<std::string>;
  CHECK(lexical_words("Unit-Prices, ORDER 42!") == Words{"unit", "prices", "order", "42"});
  CHECK(lexical_words("Größe GRÖSSE") == Words{"grösse", "grösse"});
  CHECK(lexical_words("цена ЦЕНА e\u0301t\u00e9") == Words{"цена", "цена", "été"});
  CHECK(lexical_words("  \t—!").empty());
  CHECK(lexical_words("a\xff\x62").size() == 2);  // invalid bytes separate, never crash
}

TEST_CASE("encoder: cosine of the price desk's descriptors") {
  const LexicalEncoder encoder;
  const std::vector<std::string> queries{"unit prices and order total", "Unit prices", ""};
  const std::vector<std::string> keys{"unit prices", "check result", "order total"};
  const ScoreMatrix scores = score(encoder, queries, keys);
  CHECK(scores.at(0, 0) == doctest::Approx(2 / std::sqrt(10.0)).epsilon(1e-12));
  CHECK(scores.at(0, 2) == doctest::Approx(0.6325).epsilon(1e-3));
  CHECK(scores.at(0, 1) == 0.0);
  CHECK(scores.at(1, 0) == 1.0);  // exactly
  CHECK(std::isnan(scores.at(2, 0)));
}

TEST_CASE("encoder: equal texts score exactly 1 whatever their length") {
  const LexicalEncoder encoder;
  std::string text;
  for (int words = 1; words < 60; ++words) {
    text += " w" + std::to_string(words % 17);
    const std::vector<std::string> texts{text};
    CHECK(score(encoder, texts, texts).at(0, 0) == 1.0);
  }
}

TEST_CASE("encoder: permuting the agents permutes the matrix") {
  const LexicalEncoder encoder;
  const std::vector<std::string> q{"need a plan", "code review", ""}, k{"a plan", "review", "code"};
  const std::vector<size_t> p{2, 0, 1};
  std::vector<std::string> pq, pk;
  for (size_t i : p) pq.push_back(q[i]), pk.push_back(k[i]);
  const ScoreMatrix a = score(encoder, q, k), b = score(encoder, pq, pk);
  for (int32_t i = 0; i < 3; ++i)
    for (int32_t j = 0; j < 3; ++j) {
      const double want = a.at(static_cast<int32_t>(p[static_cast<size_t>(i)]),
                               static_cast<int32_t>(p[static_cast<size_t>(j)]));
      const double got = b.at(i, j);
      const bool same = got == want || (std::isnan(got) && std::isnan(want));
      CHECK(same);
    }
}

TEST_CASE("encoder: an unknown name is refused by name") {
  const auto encoder = make_encoder("minilm");
  REQUIRE(encoder.has_error());
  CHECK(encoder.error().message.find("minilm") != std::string::npos);
  CHECK(make_encoder("lexical").value()->name() == "lexical");
}
