// Rounds of DyTopo with a scripted model: what everybody sees, when, and how runs end.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "engine/base/async/nursery.h"
#include "tests/orchestrator/run/world.h"

using namespace swarm;
using namespace swarm::test;

namespace {

const std::string kDesk = R"(
inputs: {task: {required: true}}
agents:
  Clerk: {instructions: "Look up."}
  Solver: {instructions: "Compute."}
topologies:
  desk:
    protocol: "Price it."
    members: [Clerk, Solver]
    manager: {instructions: "Decide."}
    rounds: {max: 3}
    match: {tau: 0.5, k_in: 1}
    first_goal: "Clerk: go."
    answer: [Solver]
)";

// Round 1: the Clerk offers, the Solver waits. Round 2: the Solver answers.
void nominal(agents::ScriptedModel& model) {
  model.say(worker("Sent.", "hinges: 14", "", "unit prices"), "Clerk");
  model.say(solver("Waiting.", "", "unit prices"), "Solver");
  model.say(manager("Prices sent.", false, "Solver: compute."), "Manager");
  model.say(worker("Nothing to add."), "Clerk");
  model.say(solver("Total 98.", "98", "", "total"), "Solver");
  model.say(manager("Done.", true, "", "Solver"), "Manager");
}

}  // namespace

TEST_CASE("rounds: a private message is routed, remembered and answers the task") {
  World world(kDesk);
  nominal(world.model);
  const run::RunResult result = world.run();
  CAPTURE(world.story());
  CHECK(result.ok);
  CHECK(result.outcome == "complete");
  CHECK(result.answer == "98");
  CHECK(result.rounds == 2);
  CHECK(!result.degraded);
  CHECK(result.totals.model_calls == 6);
  CHECK(world.prompt("Clerk", 0) == "Role: Clerk. Look up.\nMemory:\nGoal: Clerk: go.");
  CHECK(world.prompt("Clerk", 1) ==
        "Role: Clerk. Look up.\nMemory:\n[1] me: Sent.\nGoal: Solver: compute.");
  CHECK(world.prompt("Solver", 1) ==
        "Role: Solver. Compute.\nMemory:\n[1] me: Waiting.\n[1] Clerk: hinges: 14\n"
        "Goal: Solver: compute.");
  // Reading order: the provider before its consumer.
  CHECK(world.prompt("Manager", 0) ==
        "Role: Manager. Decide.\nGoals:\n[1] Clerk: go.\nReports:\n[1] Clerk: Sent.\n"
        "[1] Solver: Waiting.");
  CHECK(world.prompt("Manager", 1) ==
        "Role: Manager. Decide.\nGoals:\n[1] Clerk: go.\n[2] Solver: compute.\nReports:\n"
        "[2] Clerk: Nothing to add.\n[2] Solver: Total 98.");
  CHECK(world.model.requests()[0].messages[0].content == "Price it.\nTask: T");
}

TEST_CASE("rounds: what agents have read is kept for the next round, not after the last") {
  std::string two = kDesk;
  two.replace(two.find("{max: 3}"), 8, "{max: 2}");
  World world(two);
  nominal(world.model);
  world.run();
  const std::vector<agents::ModelRequest>& asked = world.model.requests();
  REQUIRE(asked.size() == 6);
  for (size_t i = 0; i < asked.size(); ++i) {
    CHECK(asked[i].hints.keep_for == std::chrono::seconds(i < 3 ? 10 : 0));
    CHECK(asked[i].hints.pin_system == (i < 3));
  }
}

TEST_CASE("rounds: a model is told at once what will not be asked for again") {
  World world(kDesk);
  nominal(world.model);
  REQUIRE(world.run().ok);
  const auto& released = world.model.released();
  const auto& asked = world.model.requests();
  REQUIRE(asked.size() == 6);
  // Passes of two rounds with the manager's, then all three together.
  std::vector<std::string> contexts;
  for (const agents::ScriptedModel::Released& one : released) contexts.push_back(one.context);
  CHECK(contexts == std::vector<std::string>{
                        "desk/Clerk", "desk/Solver", "desk/Manager", "desk/Clerk", "desk/Solver",
                        "desk/Manager", "desk/Clerk", "desk/Solver", "desk/Manager"});
  REQUIRE(released.size() == 9);
  for (size_t i = 0; i < 6; ++i) {
    CAPTURE(i);
    CHECK(asked[i].hints.context == contexts[i]);
    REQUIRE(released[i].comes_again.size() == 2);
    CHECK(released[i].comes_again[0].content == asked[i].messages[0].content);
    // The next prompt of the same agent begins so; what does not is the end of this one.
    const std::string& again = released[i].comes_again[1].content;
    CHECK(again.ends_with(i % 3 == 2 ? "\nReports:" : "\nGoal: "));
    CHECK(asked[i].messages[1].content.starts_with(again));
    CHECK(asked[i].messages[1].content.size() > again.size());
    CHECK(released[i].requests <= (i % 3 == 2 ? i + 1 : i - i % 3 + 2));   // before the next phase
    const std::string stem = again.substr(0, again.rfind('\n'));
    if (i < 3) CHECK(asked[i + 3].messages[1].content.starts_with(stem));
  }
  for (size_t i = 6; i < 9; ++i) {
    REQUIRE(released[i].comes_again.size() == 1);
    CHECK(released[i].comes_again[0].content == "Price it.\nTask: T");
  }
}

TEST_CASE("rounds: after the last round, and where a pass fails, only the system message stays") {
  std::string one = kDesk;
  one.replace(one.find("{max: 3}"), 8, "{max: 1}");
  World world(one);
  world.model.fail(failed("no"), "Clerk");
  world.model.say(solver("Total 98.", "98", "", "total"), "Solver");
  world.model.say(manager("Done.", true, "", "Solver"), "Manager");
  world.run();
  REQUIRE(world.model.released().size() == 6);
  for (const agents::ScriptedModel::Released& released : world.model.released()) {
    CAPTURE(released.context);
    REQUIRE(released.comes_again.size() == 1);
    CHECK(released.comes_again[0].role == agents::Role::system);
  }
}

TEST_CASE("rounds: the journal tells the whole round, each line before its effect") {
  World world(kDesk);
  nominal(world.model);
  world.run();
  const auto topology = world.events("topology");
  REQUIRE(topology.size() == 2);
  const Json& first = topology[0].data;
  CHECK(first["scores"] == Json::parse("[[null,null],[1.0,null]]"));
  CHECK(first["edges"] == Json::parse(R"([{"from":"Clerk","to":"Solver","score":1.0}])"));
  CHECK(first["tau"] == 0.5);
  CHECK(first["k_in"] == 1);
  CHECK(first["order"] == Json::parse(R"(["Clerk","Solver"])"));
  CHECK(first["isolated"] == Json::parse(R"(["Clerk"])"));
  CHECK(topology[1].data["edges"].empty());
  const auto delivered = world.events("message.delivered");
  REQUIRE(delivered.size() == 1);
  CHECK(delivered[0].data["from"] == "Clerk");
  CHECK(delivered[0].data["to"] == "Solver");
  CHECK(delivered[0].data["round"] == 1);
  CHECK(delivered[0].seq > topology[0].seq);
  CHECK(world.events("round.start")[1].data["goal"] == "Solver: compute.");
  CHECK(world.events("model.call").size() == 6);
  CHECK(world.events("model.reply").size() == 6);
  CHECK(world.events("agent.message").size() == 4);
  CHECK(world.events("manager.decision")[1].data["is_complete"] == true);
  const Json end = world.events().back().data;
  CHECK(end["outcome"] == "complete");
  CHECK(end["answer"] == "98");
  CHECK(end["usage"]["model_calls"] == 6);
}

TEST_CASE("rounds: the descriptor template is filled once; what an agent says is only text") {
  World world(R"(
inputs: {task: {required: true}}
agents: {Clerk: {}, Solver: {}}
topologies:
  desk:
    members: [Clerk, Solver]
    rounds: {max: 1}
    match: {tau: 0.99, descriptor_template: "{name} {text}"}
)");
  world.model.say(worker("p", "priv", "", "{name}"), "Clerk");
  world.model.say(worker("p", "", "Clerk Clerk", ""), "Solver");
  world.run();
  // Embedded: "Clerk {name}" and "Solver Clerk Clerk"; expanding what the clerk said would give
  // "Clerk Clerk".
  const Json score = world.events("topology")[0].data["scores"][1][0];
  CHECK(score.get<double>() == doctest::Approx(2.0 / std::sqrt(10.0)).epsilon(1e-9));
}

TEST_CASE("rounds: exhausted rounds are a distinct outcome; the best answer is no success") {
  World world(kDesk);
  for (int round = 0; round < 3; ++round) {
    world.model.say(worker("Waiting."), "Clerk");
    world.model.say(solver("Guess.", round == 0 ? "41" : ""), "Solver");
    world.model.say(manager("No.", false, "again"), "Manager");
  }
  const run::RunResult result = world.run();
  CHECK(!result.ok);
  CHECK(result.outcome == "rounds_exhausted");
  CHECK(result.kind == ErrorKind::failed);
  CHECK(result.answer.is_null());
  CHECK(result.best == "41");
  CHECK(result.rounds == 3);  // V9: never more than the limit
}

TEST_CASE("rounds: completion without an answer is not a success") {
  World world(kDesk);
  world.model.say(worker("x"), "Clerk").say(solver("y", ""), "Solver");
  world.model.say(manager("Done.", true, "", ""), "Manager");
  const run::RunResult result = world.run();
  CHECK(!result.ok);
  CHECK(result.outcome == "no_answer");
}

TEST_CASE("rounds: an agent that fails contributes nothing and the round is degraded") {
  World world(kDesk);
  world.model.fail(failed("out of luck"), "Clerk").say(solver("I have it.", "7"), "Solver");
  world.model.say(manager("Done.", true, "", "Solver"), "Manager");
  const run::RunResult result = world.run();
  CHECK(result.ok);
  CHECK(result.degraded);
  CHECK(result.answer == "7");
  CHECK(world.prompt("Manager", 0).find("Clerk:") == world.prompt("Manager", 0).find("Clerk: go."));
  CHECK(world.events("agent.failed").size() == 1);
  const auto messages = world.events("agent.message");
  CHECK(messages[0].data["failure"] == "failed: out of luck");
  CHECK(messages[0].data["public"] == "");
}

TEST_CASE("rounds: on_failure fail and a round without a survivor end the run") {
  World strict(kDesk + "    on_failure: fail\n");
  strict.model.fail(failed("out of luck"), "Clerk").say(solver("I have it.", "7"), "Solver");
  const run::RunResult one = strict.run();
  CHECK(one.outcome == "failed");
  CHECK(one.error.find("Clerk: failed: out of luck") != std::string::npos);

  World world(kDesk);
  world.model.fail(failed("a"), "Clerk").fail(failed("b"), "Solver");
  const run::RunResult all = world.run();
  CHECK(!all.ok);
  CHECK(all.error.find("every agent failed in round 1") != std::string::npos);
  CHECK(world.events("topology").empty());
}

TEST_CASE("rounds: a manager that fails ends the run with the reason") {
  World world(kDesk);
  world.model.say(worker("x"), "Clerk").say(solver("y", ""), "Solver");
  world.model.fail(failed("no manager today"), "Manager");
  const run::RunResult result = world.run();
  CHECK(result.outcome == "failed");
  CHECK(result.error.find("no manager today") != std::string::npos);
}

TEST_CASE("rounds: an agent that hangs is cut at its deadline, the others are not") {
  World hanging(R"(
inputs: {task: {required: true}}
agents:
  Clerk: {timeout: 30ms}
  Solver: {}
topologies:
  desk: {members: [Clerk, Solver], manager: {}, answer: [Solver]}
)");
  hanging.model.then({.label = "Clerk", .delay = std::chrono::hours(1)});
  hanging.model.say(solver("Here.", "5"), "Solver");
  hanging.model.say(manager("Done.", true, "", "Solver"), "Manager");
  const run::RunResult result = hanging.run();
  CAPTURE(hanging.story());
  CHECK(result.ok);
  CHECK(result.degraded);
  CHECK(result.wall < std::chrono::seconds(30));
  CHECK(hanging.events("agent.message")[0].data["failure"] ==
        "cut off before it said anything: deadline");
}

TEST_CASE("rounds: the role stands for descriptors that were cut off, not in a closed set") {
  for (const bool closed : {false, true}) {
    CAPTURE(closed);
    World world(std::string(R"(
inputs: {task: {required: true}}
agents: {A: {instructions: "Knows prices."}, B: {instructions: "Adds."}}
topologies:
  t: {members: [A, B], rounds: {max: 1})") + (closed ? ", descriptors: {key: [prices]}}" : "}"));
    agents::ModelReply half;
    half.content = R"({"public": "half a word", "priv)";
    half.finish = agents::FinishReason::length;
    world.model.then({.label = "A", .reply = half}).say(worker("b", "", "prices"), "B");
    const run::RunResult result = world.run();
    CHECK(result.degraded);
    const Json said = world.events("agent.message")[0].data;
    CHECK(said["public"] == "half a word");
    CHECK(said["truncated"] == true);
    CHECK(said["query"] == "Knows prices.");
    CHECK(said["key"] == (closed ? "" : "Knows prices."));
    CHECK(world.events("topology")[0].data["edges"].size() == (closed ? 0 : 1));
  }
}

TEST_CASE("rounds: half a message or answer reaches nobody, half a report is marked") {
  const auto play = [](const std::string& said, const std::string& answer) {
    World world(R"(
inputs: {task: {required: true}}
agents: {A: {instructions: "Knows prices."}, B: {instructions: "Adds."}}
topologies:
  t: {members: [A, B], manager: {}, rounds: {max: 1}, match: {tau: 0.1}, answer: [A]}
)");
    agents::ModelReply half;
    half.content = said;
    half.finish = agents::FinishReason::length;
    world.model.then({.label = "A", .reply = half}).say(worker("b", "", "prices"), "B");
    world.model.say(manager("ok", true, "", "A"), "Manager");
    const run::RunResult result = world.run();
    CAPTURE(world.story());
    CHECK(result.degraded);
    CHECK(result.ok == !answer.empty());
    CHECK((result.ok ? result.answer : Json("")) == answer);
    Json out = world.events("agent.message")[0].data;
    out["delivered"] = world.events("message.delivered").size();
    out["manager_read"] = world.prompt("Manager", 0);
    return out;
  };
  const Json in_private = play(R"({"public": "Sent.", "private": "hinges: 7*14, brackets: 3*)", "");
  CHECK(in_private["cut"] == "private");
  CHECK(in_private["private"] == "");
  CHECK(in_private["public"] == "Sent.");
  CHECK(in_private["key"] == "Knows prices.");
  CHECK(in_private["delivered"] == 0);
  const Json in_answer = play(R"({"public": "", "private": "14", "answer": "12)", "");
  CHECK(in_answer["answer"] == "");
  CHECK(in_answer["delivered"] == 1);
  const Json in_public = play(R"({"public": "It is 12)", "");
  CHECK(in_public["public"] == "It is 12 [cut off]");
  CHECK(in_public["manager_read"].get<std::string>().find("It is 12 [cut off]") !=
        std::string::npos);
  const Json in_key =
      play(R"({"public": "", "private": "", "answer": "121", "query": "x", "key": "pri)", "121");
  CHECK(in_key["query"] == "x");
  CHECK(in_key["key"] == "Knows prices.");
}

TEST_CASE("rounds: members may write their fields as tagged blocks; the manager writes JSON") {
  World world(R"(
inputs: {task: {required: true}}
agents: {A: {}, B: {}}
topologies: {t: {members: [A, B], format: tags, manager: {}, rounds: {max: 1}, answer: [B]}}
)");
  world.model.say("<public>\np\n</public>\n<private>\n\"x\" {\n}\n</private>\n<query>\nnothing\n"
                  "</query>\n<key>\nthe code\n</key>", "A");
  world.model.say("<public>\n\n</public>\n<private>\n\n</private>\n<answer>\n42\n</answer>\n"
                  "<query>\nthe code\n</query>\n<key>\nsums\n</key>", "B");
  world.model.say(manager("ok", true, "", "B"), "Manager");
  const run::RunResult result = world.run();
  CAPTURE(world.story());
  CHECK(result.answer == "42");
  CHECK_FALSE(result.degraded);
  CHECK(world.events("agent.message")[0].data["private"] == "\"x\" {\n}");
  CHECK(world.events("message.delivered").size() == 1);
  const auto& requests = world.model.requests();
  CHECK(requests[0].output_format == agents::OutputFormat::tags);
  CHECK(requests[2].output_format == agents::OutputFormat::json);
}

TEST_CASE("rounds: where nobody answered, the last failure says why") {
  World world(R"(
inputs: {task: {required: true}}
agents: {A: {}, B: {}}
topologies: {t: {members: [A, B], rounds: {max: 1}, answer: [B]}}
)");
  world.model.say(worker("a"), "A");
  world.model.fail(Error{ErrorKind::overloaded, "the engine's queue is full"}, "B");
  const run::RunResult result = world.run();
  CHECK(result.outcome == "no_answer");
  CHECK(result.error ==
        "the rounds ended, but nobody gave an answer; the last that failed was B in round 1: "
        "overloaded: the engine's queue is full");
}

TEST_CASE("rounds: a decision that was cut off decides nothing, and the next round asks again") {
  World world(R"(
inputs: {task: {required: true}}
agents: {A: {}}
topologies: {t: {members: [A], manager: {}, rounds: {max: 2}}}
)");
  agents::ModelReply half;
  half.content = R"({"status": "s", "is_complete": true, "next_goal": "stop", "answer_from": "A)";
  half.finish = agents::FinishReason::length;
  for (int i = 0; i < 2; ++i)
    world.model.say(worker("done"), "A").then({.label = "Manager", .reply = half});
  const run::RunResult result = world.run();
  CHECK_FALSE(result.ok);
  CHECK(result.outcome == "rounds_exhausted");
  CHECK(result.degraded);
  CHECK(result.best == "done");
  CHECK(result.error ==
        "the manager did not finish within 2 rounds; 2 of its decisions were cut off");
  const Json decision = world.events("manager.decision")[0].data;
  CHECK(decision["truncated"] == true);
  CHECK(decision["finish"] == "length");
  CHECK(decision["is_complete"] == false);
  CHECK(world.prompt("A", 1).ends_with("Goal: T"));
}

TEST_CASE("rounds: the first goal may be the task or the manager's") {
  World task(R"(
inputs: {task: {required: true}}
agents: {A: {}}
topologies: {t: {members: [A], manager: {}, rounds: {max: 1}}}
)");
  task.model.say(worker("done"), "A").say(manager("ok", true, "", "A"), "Manager");
  CHECK(task.run().answer == "done");
  CHECK(task.prompt("A", 0).ends_with("Goal: T"));

  World asked(R"(
inputs: {task: {required: true}}
agents: {A: {}}
topologies: {t: {members: [A], manager: {}, rounds: {max: 1}, first_goal: manager}}
)");
  asked.model.say(manager("begin", false, "look first"), "Manager");
  asked.model.say(worker("done"), "A").say(manager("ok", true, "", "A"), "Manager");
  CHECK(asked.run().ok);
  CHECK(asked.prompt("A", 0).ends_with("Goal: look first"));
}

TEST_CASE("rounds: without a manager all rounds are run and the last word is the answer") {
  World world(R"(
inputs: {task: {required: true}}
agents: {A: {}, B: {}}
topologies: {t: {kind: chain, members: [A, B], rounds: {max: 2}}}
)");
  world.model.say(worker("a1", "for B"), "A").say(worker("b1"), "B");
  world.model.say(worker("a2"), "A").say(worker("b2"), "B");
  const run::RunResult result = world.run();
  CHECK(result.outcome == "succeeded");
  CHECK(result.answer == "b2");
  CHECK(world.prompt("B", 1).find("[1] A: for B\n") != std::string::npos);
}

TEST_CASE("rounds: in a debate the public message travels") {
  World world(R"(
inputs: {task: {required: true}}
agents: {A: {}, B: {}}
topologies: {t: {kind: debate, members: [A, B], rounds: {max: 2}}}
)");
  for (int round = 0; round < 2; ++round)
    world.model.say(worker("I say yes", "secret"), "A").say(worker("I say no", "secret"), "B");
  world.run();
  CHECK(world.prompt("B", 1).find("[1] A: I say yes\n") != std::string::npos);
  CHECK(world.prompt("B", 1).find("secret") == std::string::npos);
}

TEST_CASE("rounds: memory that is full drops routed lines and says so") {
  World world(R"(
inputs: {task: {required: true}}
agents: {A: {}, B: {memory_chars_max: 256}}
topologies: {t: {kind: chain, members: [A, B], rounds: {max: 3}}}
)");
  for (int round = 0; round < 3; ++round)
    world.model.say(worker("a", std::string(200, 'x')), "A").say(worker("b"), "B");
  world.run();
  const auto drops = world.events("memory.drop");
  REQUIRE(!drops.empty());
  CHECK(drops[0].data["agent"] == "B");
  CHECK(drops[0].data["author"] == "A");
  CHECK(drops[0].data["from_round"] == 1);
}

TEST_CASE("rounds: closed sets of descriptors, goals and statuses become the schema") {
  World world(R"(
inputs: {task: {required: true}}
agents: {A: {}}
topologies:
  t:
    members: [A]
    manager: {goals: [g1, g2], statuses: [s1]}
    descriptors: {query: [q1], key: [k1, k2]}
    answer: [A]
    rounds: {max: 1}
)");
  world.model.say(solver("x", "y"), "A").say(manager("s1", true, "", "A"), "Manager");
  world.run();
  const Json agent = *world.model.requests()[0].output_schema;
  CHECK(agent["properties"]["query"]["enum"] == Json::parse(R"(["q1",""])"));
  CHECK(agent["properties"].contains("answer"));
  const Json boss = *world.model.requests()[1].output_schema;
  CHECK(boss["properties"]["next_goal"]["enum"] == Json::parse(R"(["g1","g2",""])"));
  CHECK(boss["properties"]["status"]["enum"] == Json::parse(R"(["s1"])"));
  CHECK(boss["properties"]["answer_from"]["enum"] == Json::parse(R"(["A",""])"));
}
