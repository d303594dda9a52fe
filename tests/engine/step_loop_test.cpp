#include "engine/step_loop.h"

#include "engine/base/rng.h"
#include "tests/engine/loop_world.h"

using namespace swarm;
using namespace swarm::test;

namespace {

const sched::SchedulerLimits kRoomy{.page_count = 256, .page_tokens = 4, .context = 128};

Tokens prompt_of(uint64_t seed, size_t size, size_t shared = 0) {
  Rng common(999), own(seed);
  Tokens tokens(size);
  for (size_t i = 0; i < size; ++i)
    tokens[i] = static_cast<TokenId>((i < shared ? common : own).below(kVocab));
  return tokens;
}

std::string refusal(const Result<RequestId>& result) {
  return result ? "" : result.error().message;
}

}  // namespace

TEST_CASE("step_loop: greedy tokens are those of the model alone, with a truthful report") {
  LoopWorld world(kRoomy);
  const Tokens prompt = prompt_of(1, 21);
  const RequestId id = world.add({.prompt = prompt, .max_tokens = 9});
  world.run();
  const Answer& answer = world.answers[id];
  CHECK(answer.tokens == greedy_alone(prompt, 9));
  CHECK(answer.finish == Finish::length);
  CHECK(answer.report.prompt_tokens == 21);
  CHECK(answer.report.cached_tokens == 0);
  CHECK(answer.report.computed_tokens == 21);
  CHECK(answer.report.output_tokens == 9);
  CHECK(answer.report.batch_max == 1);
  CHECK(answer.report.batch_mean == 1.0);
  CHECK(answer.report.decode == std::chrono::milliseconds(8));   // one step per later token
  world.check_nothing_leaks();
}

TEST_CASE("step_loop: a stop token ends the request and is not reported") {
  LoopWorld world(kRoomy);
  const Tokens prompt = prompt_of(2, 8);
  const TokenId stop = greedy_alone(prompt, 6).back();
  const RequestId id =
      world.add({.prompt = prompt, .stop_tokens = {stop}, .max_tokens = 40});
  world.run();
  CHECK(world.answers[id].finish == Finish::stop);
  CHECK(world.answers[id].tokens == greedy_alone(prompt, 40, {stop}));
}

TEST_CASE("step_loop: the end of the context ends the request with length") {
  LoopWorld world({.page_count = 64, .page_tokens = 4, .context = 16});
  const RequestId id = world.add({.prompt = prompt_of(3, 12), .max_tokens = 100});
  world.run();
  CHECK(world.answers[id].finish == Finish::length);
  CHECK(world.answers[id].tokens.size() == 4);
}

TEST_CASE("step_loop: what can never be answered is refused with the numbers") {
  LoopWorld world({.page_count = 4, .page_tokens = 4, .queue_depth_max = 2, .context = 64});
  StepLoop& loop = world.loop;
  CHECK(refusal(loop.submit({}, nullptr)) == "prompt: expected at least 1 token, found 0");
  CHECK(refusal(loop.submit({.prompt = prompt_of(1, 64)}, nullptr)) ==
        "prompt: expected at most 63 tokens for a context of 64, found 64");
  CHECK(refusal(loop.submit({.prompt = prompt_of(1, 10), .max_tokens = 8}, nullptr)) ==
        "request needs 5 KV pages for 17 tokens, the cache has 4 of 4 tokens; raise "
        "engine.kv_bytes_max or lower max_tokens");
  CHECK(refusal(loop.submit({.prompt = {kVocab}}, nullptr)) ==
        "prompt: expected token ids in [0, 48), found 48");
  CHECK(refusal(loop.submit({.prompt = {1}, .max_tokens = 0}, nullptr)) ==
        "max_tokens: expected at least 1, found 0");
  CHECK(refusal(loop.submit({.prompt = {1}, .sampling = {.top_p = 2}}, nullptr)) ==
        "top_p: expected a number in (0, 1], found 2");
  CHECK(refusal(loop.submit({.prompt = {1}, .max_tokens = 1},
                            std::make_unique<BracketLanguage>())) ==
        "max_tokens: expected at least 2 tokens for the shortest output the grammar allows, "
        "found 1");
  // A prompt that is too long is the reason, whatever the grammar would want.
  CHECK(refusal(loop.submit({.prompt = prompt_of(1, 64)}, std::make_unique<BracketLanguage>())) ==
        "prompt: expected at most 63 tokens for a context of 64, found 64");
  CHECK(refusal(loop.submit({.prompt = prompt_of(1, 63)}, std::make_unique<BracketLanguage>())) ==
        "max_tokens: expected at least 2 tokens for the shortest output the grammar allows, "
        "found 1; a prompt of 63 tokens leaves no more in a context of 64");
  world.add({.prompt = {1}, .max_tokens = 1});
  world.add({.prompt = {1}, .max_tokens = 1});
  const auto third = loop.submit({.prompt = {1}, .max_tokens = 1}, nullptr);
  REQUIRE(!third);
  CHECK(third.error().kind == ErrorKind::overloaded);
  world.run();
  CHECK(world.answers.size() == 2);
}

TEST_CASE("step_loop: identical prompts in flight are computed once, the tail included") {
  LoopWorld world(kRoomy);
  const Tokens prompt = prompt_of(4, 37);
  for (int i = 0; i < 8; ++i) world.add({.prompt = prompt, .max_tokens = 5});
  world.run();
  for (const auto& [id, answer] : world.answers) CHECK(answer.tokens == greedy_alone(prompt, 5));
  // Each twin computes only the last prompt token, whose logits it needs.
  CHECK(world.loop.stats().prompt_tokens_computed == 37 + 7);
  CHECK(world.loop.stats().prompt_tokens_cached == 7 * 36);
  world.check_nothing_leaks();
}

TEST_CASE("step_loop: a shared prefix is computed once and the rest per request") {
  LoopWorld world(kRoomy);
  std::map<RequestId, Tokens> prompts;
  for (uint64_t i = 0; i < 6; ++i) {
    const Tokens prompt = prompt_of(i, 50, 40);
    prompts[world.add({.prompt = prompt, .max_tokens = 4})] = prompt;
  }
  world.run();
  for (const auto& [id, prompt] : prompts)
    CHECK(world.answers[id].tokens == greedy_alone(prompt, 4));
  CHECK(world.loop.stats().prompt_tokens_computed == 50 + 5 * 10);
}

TEST_CASE("step_loop: the next turn of a conversation computes only what is new") {
  LoopWorld world(kRoomy);
  Tokens talk = prompt_of(5, 18);
  const RequestId first = world.add({.prompt = talk, .max_tokens = 7});
  world.run();
  const Tokens reply = world.answers[first].tokens;
  talk.insert(talk.end(), reply.begin(), reply.end());
  const Tokens more = prompt_of(6, 5);
  talk.insert(talk.end(), more.begin(), more.end());
  const RequestId second = world.add({.prompt = talk, .max_tokens = 3});
  world.run();
  CHECK(world.answers[second].report.cached_tokens == 18 + 6);   // all but the reply's last token
  CHECK(world.answers[second].report.computed_tokens == 1 + 5);
  CHECK(world.answers[second].tokens == greedy_alone(talk, 3));
}

TEST_CASE("step_loop: prefetch fills the cache and produces nothing") {
  LoopWorld world(kRoomy);
  const Tokens prompt = prompt_of(7, 30);
  for (int i = 0; i < 2; ++i) {
    const RequestId id = world.add({.prompt = prompt, .prefill_only = true});
    world.run();
    CHECK(world.answers[id].finish == Finish::stop);
    CHECK(world.answers[id].tokens.empty());
    CHECK(world.answers[id].report.computed_tokens == (i == 0 ? 30 : 0));
  }
  const RequestId id = world.add({.prompt = prompt, .max_tokens = 2});
  world.run();
  CHECK(world.answers[id].report.computed_tokens == 1);
  CHECK(world.answers[id].tokens == greedy_alone(prompt, 2));
}

TEST_CASE("step_loop: a fork continues its parent, sharing pages, and neither disturbs the other") {
  LoopWorld world({.page_count = 256, .page_tokens = 8, .context = 128});
  const Tokens prompt = prompt_of(8, 19);
  const RequestId parent = world.add({.prompt = prompt, .max_tokens = 20});
  // 22 tokens are computed by then: the third page is shared in part and must be copied.
  while (world.answers[parent].tokens.size() < 4) world.step();
  Tokens so_far = prompt;
  so_far.insert(so_far.end(), world.answers[parent].tokens.begin(),
                world.answers[parent].tokens.end());
  const auto child = world.loop.fork(parent, {.sampling = {.temperature = 1, .seed = 3},
                                              .max_tokens = 10});
  const auto greedy = world.loop.fork(parent, {.max_tokens = 10});
  REQUIRE(child.has_value());
  REQUIRE(greedy.has_value());
  world.run();
  CHECK(world.answers[parent].tokens == greedy_alone(prompt, 20));
  CHECK(world.answers[*greedy].tokens == greedy_alone(so_far, 10));
  CHECK(world.answers[*greedy].report.computed_tokens == 1);
  CHECK(world.answers[*child].report.cached_tokens == 22);
  CHECK(!world.loop.fork(parent, {}));
  world.check_nothing_leaks();
}

TEST_CASE("step_loop: cancelling and deadlines end a request once, wherever it stands") {
  LoopWorld world({.page_count = 12, .page_tokens = 4, .max_running = 1, .max_resident = 2,
                   .prefill_batch_tokens = 4, .context = 64});
  const RequestId running = world.add({.prompt = prompt_of(1, 4), .max_tokens = 30});
  const RequestId prefilling = world.add({.prompt = prompt_of(2, 16), .max_tokens = 4});
  const RequestId waiting = world.add({.prompt = prompt_of(3, 16), .max_tokens = 4});
  const RequestId late = world.add(
      {.prompt = prompt_of(4, 8), .max_tokens = 4,
       .deadline = Deadline::after(world.clock, std::chrono::milliseconds(3))});
  world.step();
  world.step();
  world.loop.cancel(running);
  world.loop.cancel(running);
  world.loop.cancel(prefilling);
  world.loop.cancel(RequestId{12345});
  world.run();
  CHECK(world.answers[running].finish == Finish::cancelled);
  CHECK(world.answers[prefilling].finish == Finish::cancelled);
  CHECK(world.answers[waiting].tokens == greedy_alone(prompt_of(3, 16), 4));
  CHECK(world.answers[late].finish == Finish::deadline);
  world.loop.cancel(running);
  world.check_nothing_leaks();
}

TEST_CASE("step_loop: forced spans are appended as a chunk, in order, and cost no sampling") {
  LoopWorld world(kRoomy);
  const std::vector<Tokens> sentences{{5, 6, 7, 8, 9, 10}, {5, 6, 7, 20, 21, 22}};
  const RequestId id = world.add({.prompt = prompt_of(9, 10), .stop_tokens = {4}},
                                 std::make_unique<ListLanguage>(sentences, 4));
  world.run();
  const Answer& answer = world.answers[id];
  CHECK((answer.tokens == sentences[0] || answer.tokens == sentences[1]));
  CHECK(answer.forced == std::vector<bool>{true, true, true, false, true, true});
  CHECK(answer.report.forced_tokens == 5);
  CHECK(answer.finish == Finish::grammar_end);
  CHECK(world.model.forwards == 1);       // one choice, one forward pass
  CHECK(world.loop.stats().forced_tokens == 5);
}

TEST_CASE("step_loop: an output without any choice needs no model") {
  LoopWorld world(kRoomy);
  const RequestId id = world.add({.prompt = {1, 2}},
                                 std::make_unique<ListLanguage>(std::vector<Tokens>{{9, 8}}, 4));
  world.run();
  CHECK(world.answers[id].tokens == Tokens{9, 8});
  CHECK(world.answers[id].finish == Finish::grammar_end);
  CHECK(world.model.forwards == 0);
}

TEST_CASE("step_loop: a grammar-bound output is valid whatever the budget, and tells a cut") {
  int cut = 0, whole = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const auto answer_within = [&](int32_t budget) {
      LoopWorld world(kRoomy);
      const RequestId id = world.add({.prompt = prompt_of(seed, 5),
                                      .sampling = {.temperature = 2, .seed = seed},
                                      .stop_tokens = {BracketLanguage::kStop},
                                      .max_tokens = budget},
                                     std::make_unique<BracketLanguage>());
      world.run();
      CHECK(balanced(world.answers[id].tokens));
      return world.answers[id];
    };
    const Answer roomy = answer_within(100);
    for (int32_t budget = 2; budget < 30; ++budget) {
      CAPTURE(budget);
      CAPTURE(seed);
      const Answer answer = answer_within(budget);
      CHECK(std::ssize(answer.tokens) <= budget);
      if (roomy.finish == Finish::stop && std::ssize(roomy.tokens) < budget) {
        ++whole;
        CHECK(answer.finish == Finish::stop);
        CHECK(answer.tokens == roomy.tokens);
        CHECK(answer.report.closing_tokens == 0);
        continue;
      }
      ++cut;
      CHECK(answer.finish == Finish::length);
      // What was said is what would have been said; only the closing is not.
      const auto closing = static_cast<size_t>(answer.report.closing_tokens);
      const auto said = static_cast<std::ptrdiff_t>(answer.tokens.size() - closing);
      CHECK(closing == static_cast<size_t>(std::ranges::count(answer.closing, true)));
      CHECK(std::equal(answer.tokens.begin(), answer.tokens.begin() + said,
                       roomy.tokens.begin()));
      for (size_t i = answer.tokens.size() - closing; i < answer.tokens.size(); ++i)
        CHECK((answer.closing[i] && answer.forced[i]));
    }
  }
  CHECK(cut > 20);
  CHECK(whole > 20);
}

TEST_CASE("step_loop: a text that fits exactly was not cut") {
  const std::vector<Tokens> sentences{{5, 6, 7, 8}, {5, 6, 20, 21, 22, 23, 24}};
  int cut = 0;
  for (uint64_t seed = 0; seed < 8; ++seed)
    for (int32_t budget = 4; budget < 9; ++budget) {
      CAPTURE(seed);
      CAPTURE(budget);
      LoopWorld world(kRoomy);
      Request request{.prompt = prompt_of(seed, 6), .stop_tokens = {4}, .max_tokens = 20};
      const RequestId roomy = world.add(request, std::make_unique<ListLanguage>(sentences, 4));
      request.max_tokens = budget;
      const RequestId id = world.add(request, std::make_unique<ListLanguage>(sentences, 4));
      world.run();
      const Answer& answer = world.answers[id];
      if (std::ssize(world.answers[roomy].tokens) <= budget) {
        CHECK(answer.finish == Finish::grammar_end);
        CHECK(answer.tokens == world.answers[roomy].tokens);
        CHECK(answer.report.closing_tokens == 0);
      } else {
        ++cut;
        CHECK(answer.finish == Finish::length);
        CHECK(answer.tokens == sentences[0]);
        CHECK(answer.report.closing_tokens == 2);   // 7 and 8; 5 and 6 were certain
      }
    }
  CHECK(cut > 0);
}

TEST_CASE("step_loop: reasoning over its budget is closed by the helper text") {
  const ThinkMarkers think{.begin = 40, .end = 41, .closing = {30, 31, 41, 32}};
  Tokens prompt = prompt_of(12, 6);
  std::ranges::replace(prompt, 40, 1);
  std::ranges::replace(prompt, 41, 1);
  prompt.push_back(40);
  LoopWorld world(kRoomy, think);
  const RequestId id = world.add({.prompt = prompt, .max_tokens = 20, .think_tokens_max = 3});
  const RequestId none = world.add({.prompt = prompt, .max_tokens = 5, .think_tokens_max = 0});
  const RequestId free = world.add({.prompt = prompt, .max_tokens = 20});
  world.run();
  Tokens want = greedy_alone(prompt, 3);
  REQUIRE(std::ranges::count(want, 41) == 0);
  want.insert(want.end(), {30, 31, 41, 32});
  Tokens all = prompt;
  all.insert(all.end(), want.begin(), want.end());
  const Tokens rest = greedy_alone(all, 13);
  REQUIRE(std::ranges::count(rest, 40) == 0);
  want.insert(want.end(), rest.begin(), rest.end());
  CHECK(world.answers[id].tokens == want);
  CHECK(world.answers[id].report.forced_tokens == 4);
  CHECK(Tokens(world.answers[none].tokens.begin(), world.answers[none].tokens.begin() + 4) ==
        think.closing);
  CHECK(world.answers[free].tokens == greedy_alone(prompt, 20));
}

TEST_CASE("step_loop: a budget for reasoning is refused where no tokens begin and end it") {
  LoopWorld world(kRoomy);
  for (const int32_t budget : {0, 3}) {
    const auto id = world.loop.submit({.prompt = {1, 2, 3}, .think_tokens_max = budget}, nullptr);
    REQUIRE(id.has_error());
    CHECK(id.error().kind == ErrorKind::invalid_input);
    CHECK(id.error().message.starts_with("think_tokens_max: the vocabulary of this model has no"));
  }
  world.add({.prompt = {1, 2, 3}, .max_tokens = 1});
  world.run();
}

TEST_CASE("step_loop: logits that are not numbers end that request only, with a reason") {
  LoopWorld world(kRoomy);
  world.model.poison_token = 47;
  const RequestId bad = world.add({.prompt = {1, 2, 3, 4, 5, 47}, .max_tokens = 3});
  const RequestId good = world.add({.prompt = {1, 2, 3}, .max_tokens = 1});
  world.run();
  CHECK(world.answers[bad].finish == Finish::failed);
  CHECK(world.answers[bad].error.find("not numbers") != std::string::npos);
  CHECK(world.answers[good].finish == Finish::length);
  // What the failed request computed is not reused: only the healthy prompt is cached.
  CHECK(world.loop.stats().pages_cached <= 1);
}

TEST_CASE("step_loop: a failing forward pass ends every request with its text") {
  LoopWorld world(kRoomy);
  for (uint64_t i = 0; i < 3; ++i) world.add({.prompt = prompt_of(i, 9), .max_tokens = 3});
  world.step();
  world.model.fail_next = true;
  world.run();
  for (const auto& [id, answer] : world.answers) {
    CHECK(answer.finish == Finish::failed);
    CHECK(answer.error == "the forward pass failed: fake forward failed");
  }
  const RequestId next = world.add({.prompt = prompt_of(0, 9), .max_tokens = 3});
  world.run();
  CHECK(world.answers[next].tokens == greedy_alone(prompt_of(0, 9), 3));
}

TEST_CASE("step_loop: a lost device answers every request and refuses later ones") {
  LoopWorld world(kRoomy);
  for (uint64_t i = 0; i < 3; ++i) world.add({.prompt = prompt_of(i, 9), .max_tokens = 3});
  world.step();
  world.model.lose_next = true;
  world.run();
  REQUIRE(world.answers.size() == 3);
  for (const auto& [id, answer] : world.answers) {
    CHECK(answer.finish == Finish::failed);
    CHECK(answer.error == "the forward pass failed: fake device lost");
    CHECK(answer.error_kind == ErrorKind::environment);
  }
  CHECK(world.loop.idle());
  const auto refused = world.loop.submit({.prompt = prompt_of(0, 9), .max_tokens = 3}, nullptr);
  REQUIRE(refused.has_error());
  CHECK(refused.error().kind == ErrorKind::environment);
  CHECK(refused.error().message == "fake device lost");
}

TEST_CASE("step_loop: sampling with a seed does not depend on the neighbours") {
  const auto run = [](int neighbours, int32_t chunk) {
    LoopWorld world({.page_count = 64, .page_tokens = 3, .max_running = 8,
                     .prefill_batch_tokens = chunk, .context = 64});
    const RequestId id = world.add({.prompt = prompt_of(1, 12),
                                    .sampling = {.temperature = 1, .top_p = 0.9,
                                                 .repeat_penalty = 1.2, .seed = 5},
                                    .max_tokens = 15});
    for (int i = 0; i < neighbours; ++i)
      world.add({.prompt = prompt_of(static_cast<uint64_t>(i), 10, 6),
                 .sampling = {.temperature = 1, .seed = static_cast<uint64_t>(i)},
                 .max_tokens = 9});
    world.run();
    return world.answers[id].tokens;
  };
  const Tokens alone = run(0, 64);
  CHECK(run(7, 64) == alone);
  CHECK(run(5, 1) == alone);
}
