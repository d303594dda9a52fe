#include "engine/grammar_constraint.h"

#include "engine/grammar/grammar.h"

namespace swarm::engine {
namespace {

class GrammarConstraint final : public Constraint {
 public:
  explicit GrammarConstraint(grammar::Matcher matcher) : matcher_(std::move(matcher)) {}

  std::unique_ptr<Constraint> clone() const override {
    return std::make_unique<GrammarConstraint>(*this);
  }
  void fill_mask(std::span<uint32_t> bits) const override { matcher_.fill_mask(bits); }
  bool accept(TokenId token) override { return matcher_.accept(token); }
  bool may_end() const override { return matcher_.may_end(); }
  bool ended() const override { return matcher_.ended(); }
  std::vector<TokenId> forced() const override { return matcher_.forced(); }
  std::optional<std::vector<TokenId>> completion() const override {
    return matcher_.completion();
  }

 private:
  grammar::Matcher matcher_;
};

}  // namespace

std::unique_ptr<Constraint> make_constraint(std::shared_ptr<const grammar::Grammar> grammar) {
  return std::make_unique<GrammarConstraint>(grammar::Matcher(std::move(grammar)));
}

}  // namespace swarm::engine
