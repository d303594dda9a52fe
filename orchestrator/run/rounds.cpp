#include "orchestrator/run/rounds.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "agents/agent.h"
#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/check.h"
#include "engine/base/rng.h"
#include "orchestrator/run/passes.h"
#include "orchestrator/topology/encoder.h"
#include "orchestrator/topology/topology.h"

namespace swarm::run {
namespace {

// Agents speak again in the next round, with the same prompt up to their memory: what they read is
// kept until then. A round that takes longer finds it in the cache, if nobody else needed the room.
constexpr std::chrono::seconds kKeepToNextRound{10};
constexpr std::string_view kCutMark = " [cut off]";

struct Member {
  const config::AgentEntry* entry = nullptr;
  agents::Memory memory;
  agents::WorkerMessage message;     // of this round
  std::string failure;               // of this round; "" = fine
  std::string last_answer, last_public;
};

struct Decision {
  bool complete = false;
  std::string answer_from;
  std::string failure;
};

bool is_empty(const agents::WorkerMessage& m) {
  return m.public_text.empty() && m.private_text.empty() && m.answer.empty() && m.query.empty() &&
         m.key.empty();
}

class Rounds {
 public:
  Rounds(Environment& environment, const config::TopologyEntry& topology, RoundsInput input)
      : env_(environment), topology_(topology), input_(std::move(input)) {
    for (const std::string& name : topology.members)
      members_.emplace_back().entry = env_.config.agent(name);
  }
  ~Rounds() { release(); }
  Rounds(const Rounds&) = delete;
  Rounds& operator=(const Rounds&) = delete;

  Async<TaskOutcome> run() {
    topology::Options options = topology_.options;
    options.seed = mix_seed(env_.seed, hash_text(topology_.name));
    auto made = topology::make_topology(options);
    if (!made) co_return end(false, "failed", made.error().message);
    shape_ = std::move(*made);
    auto encoder = topology::make_encoder(topology_.encoder);
    if (!encoder) co_return end(false, "failed", encoder.error().message);
    encoder_ = std::move(*encoder);
    const std::string failure = co_await set_first_goal();
    if (!failure.empty()) co_return end(false, "failed", failure);
    for (round_ = 1; round_ <= topology_.rounds_max; ++round_) {
      record("round.start", {{"goal", goals_.back()}});
      co_await work();
      if (std::string why = record_messages(); !why.empty()) co_return end(false, "failed", why);
      deliver(route());
      rounds_done_ = round_;
      if (!topology_.manager) continue;
      const Decision decision = co_await decide(/*before_work=*/false);
      if (!decision.failure.empty()) co_return end(false, "failed", decision.failure);
      if (decision.complete) co_return complete(decision.answer_from);
    }
    co_return exhausted();
  }

 private:
  size_t count() const { return members_.size(); }
  const std::string& name(size_t i) const { return members_[i].entry->config.name; }
  bool answers(const std::string& agent) const {
    const auto& list = topology_.answer;
    return std::find(list.begin(), list.end(), agent) != list.end();
  }

  void record(std::string_view type, Json data) {
    Json whole{{"task", input_.task_name}, {"round", round_}};
    whole.update(data);
    env_.recorder.event(type, whole);
  }

  // O1: the task itself, a text, or a first call of the manager. "" = fine.
  Async<std::string> set_first_goal() {
    if (topology_.first_goal == "task") {
      goals_.push_back(input_.task);
    } else if (topology_.first_goal != "manager") {
      goals_.push_back(topology_.first_goal);
    } else {
      const Decision decision = co_await decide(/*before_work=*/true);
      if (!decision.failure.empty()) co_return decision.failure;
      if (goals_.empty()) goals_.push_back(input_.task);
    }
    co_return "";
  }

  bool is_last_round() const { return round_ >= topology_.rounds_max; }

  agents::ContextHints hints() const {
    agents::ContextHints out;
    if (!is_last_round()) out.keep_for = kKeepToNextRound;
    out.pin_system = !is_last_round();
    return out;
  }

  // The next prompt of an agent begins like this one up to its memory, or to the goals; after the
  // last round only the system message comes again, in other tasks.
  std::vector<agents::Message> comes_again(std::vector<agents::Message> without_end) const {
    if (is_last_round()) without_end.resize(1);
    return without_end;
  }

  // Memories are of no more use.
  void release() {
    const auto of = [this](const std::string& agent, const std::string& model) {
      std::vector<agents::Message> system = manager_messages({}, {});
      system.resize(1);
      env_.models.at(model)->release(conversation_of(input_.task_name, agent), system);
    };
    for (const Member& member : members_) of(member.entry->config.name, member.entry->model);
    if (topology_.manager) of(topology_.manager->config.name, topology_.manager->model);
  }

  // Phase 1: one pass of every member, all at once. They see only the memory of earlier rounds.
  Async<> work() {
    co_await with_nursery([this](Nursery& nursery) -> Async<> {
      for (size_t i = 0; i < count(); ++i) nursery.start([this, i] { return work_of(i); });
      co_return;
    });
  }

  Async<> work_of(size_t i) {
    Member& member = members_[i];
    member.message = {};
    member.failure.clear();
    const agents::AgentConfig& config = member.entry->config;
    PassSpec spec{.task = input_.task_name, .round = round_, .agent = config.name};
    spec.model = member.entry->model;
    spec.seed = mix_seed(mix_seed(env_.seed, i), static_cast<uint64_t>(round_));
    spec.deadline = deadline_of(env_, input_.deadline, member.entry->timeout);
    agents::PromptParts parts{.protocol = topology_.protocol,
                              .task = input_.task,
                              .name = config.name,
                              .instructions = config.instructions,
                              .memory = member.memory.render(),
                              .goal = {}};
    spec.comes_again = comes_again(agents::worker_prompt(parts));
    parts.goal = goals_.back();
    spec.messages = agents::worker_prompt(parts);
    spec.output_schema = agents::worker_schema({.with_answer = answers(config.name),
                                                .query_options = topology_.query_options,
                                                .key_options = topology_.key_options});
    spec.output_format = topology_.format;
    spec.hints = hints();
    const PassOutcome outcome = co_await run_agent(env_, config, std::move(spec));
    member.failure = outcome.failure;
    results_[i] = outcome.result;
    if (!outcome.failure.empty()) co_return;
    member.message = agents::parse_worker(outcome.result);
    if (outcome.result.truncated || !member.message.cut.empty())
      cut_off(member, outcome.result.finish);
  }

  // What was said as a whole is kept (O11). Half a private message or half an answer is dropped:
  // who gets it would act on it as if it were all; half a public text is marked. What the agent is
  // stands for the descriptors that it did not finish, unless they come from a closed set.
  void cut_off(Member& member, agents::FinishReason why) {
    degraded_ = true;
    agents::WorkerMessage& message = member.message;
    if (message.cut == "private") message.private_text.clear();
    if (message.cut == "answer") message.answer.clear();
    if (message.cut == "query") message.query.clear();
    if (message.cut == "key") message.key.clear();
    if (is_empty(message)) {
      member.failure = "cut off before it said anything: " + std::string(to_string(why));
      return;
    }
    if (message.cut == "public") message.public_text += kCutMark;
    const std::string& role = member.entry->config.instructions;
    if (message.query.empty() && topology_.query_options.empty()) message.query = role;
    if (message.key.empty() && topology_.key_options.empty()) message.key = role;
  }

  // After the barrier, in member order: nothing depends on who was first. "" = go on.
  std::string record_messages() {
    size_t failures = 0;
    std::string first;
    for (size_t i = 0; i < count(); ++i) {
      Member& member = members_[i];
      const agents::WorkerMessage& m = member.message;
      Json data{{"agent", name(i)},       {"public", m.public_text}, {"private", m.private_text},
                {"answer", m.answer},     {"query", m.query},        {"key", m.key},
                {"finish", to_string(results_[i].finish)},
                {"truncated", results_[i].truncated},
                {"turns", results_[i].turns},
                {"tool_calls", results_[i].tool_calls},
                {"usage", to_json(results_[i].usage)}};
      if (!m.cut.empty()) data["cut"] = m.cut;
      if (results_[i].cut_turns > 0) {
        data["cut_turns"] = results_[i].cut_turns;
        degraded_ = true;
      }
      if (!member.failure.empty()) data["failure"] = member.failure;
      record("agent.message", std::move(data));
      if (!m.answer.empty()) member.last_answer = m.answer;
      // Where somebody was cut off, what stands for a missing answer may be all but the answer.
      const bool whole = !results_[i].truncated && m.cut.empty();
      if (whole && !m.public_text.empty()) member.last_public = m.public_text;
      if (member.failure.empty()) continue;
      ++failures;
      degraded_ = true;
      if (first.empty()) first = name(i) + ": " + member.failure;
      failure_last_ = name(i) + " in round " + std::to_string(round_) + ": " + member.failure;
    }
    const std::string where = " in round " + std::to_string(round_);
    if (failures == count()) return "every agent failed" + where + "; " + first;
    if (failures > 0 && topology_.fail_on_failure) return "an agent failed" + where + "; " + first;
    return "";
  }

  // What is embedded for a descriptor; an empty one stays empty.
  std::string descriptor(size_t i, const std::string& text) const {
    if (text.empty()) return "";
    const std::pair<std::string_view, const std::string*> values[] = {
        {"{text}", &text}, {"{name}", &name(i)}, {"{goal}", &goals_.back()}};
    // One pass: what an agent says is text, also when it reads "{goal}".
    std::string out;
    std::string_view rest = topology_.descriptor_template;
    while (!rest.empty()) {
      const auto found = std::find_if(std::begin(values), std::end(values), [&](const auto& one) {
        return rest.starts_with(one.first);
      });
      const bool key = found != std::end(values);
      out += key ? std::string_view(*found->second) : rest.substr(0, 1);
      rest.remove_prefix(key ? found->first.size() : 1);
    }
    return out;
  }

  // Phases 2 and 3.
  topology::Routing route() {
    std::vector<std::string> queries, keys;
    for (size_t i = 0; i < count(); ++i) {
      queries.push_back(descriptor(i, members_[i].message.query));
      keys.push_back(descriptor(i, members_[i].message.key));
    }
    const topology::RoundInput input{.round = round_,
                                     .scores = topology::score(*encoder_, queries, keys)};
    topology::Routing routing = shape_->route(input);
    record_topology(input.scores, routing);
    return routing;
  }

  void record_topology(const topology::ScoreMatrix& scores, const topology::Routing& routing) {
    const auto names = [this](const std::vector<int32_t>& indices) {
      Json out = Json::array();
      for (int32_t i : indices) out.push_back(name(static_cast<size_t>(i)));
      return out;
    };
    const auto edges = [this](const std::vector<topology::Edge>& list) {
      Json out = Json::array();
      for (const topology::Edge& edge : list) {
        out.push_back({{"from", name(static_cast<size_t>(edge.from))},
                       {"to", name(static_cast<size_t>(edge.to))},
                       {"score", edge.score}});
        if (edge.forced) out.back()["forced"] = true;
      }
      return out;
    };
    Json rows = Json::array();
    for (int32_t i = 0; i < scores.agents(); ++i) {
      Json row = Json::array();
      for (int32_t j = 0; j < scores.agents(); ++j) {
        const double value = scores.at(i, j);
        row.push_back(std::isnan(value) ? Json(nullptr) : Json(value));
      }
      rows.push_back(std::move(row));
    }
    record("topology", {{"kind", to_string(shape_->kind())},
                        {"encoder", encoder_->name()},
                        {"agents", topology_.members},
                        {"scores", rows},
                        {"tau", topology_.options.match.tau},
                        {"k_in", topology_.options.match.k_in},
                        {"edges", edges(routing.edges)},
                        {"removed", edges(routing.removed)},
                        {"order", names(routing.order)},
                        {"isolated", names(routing.isolated)},
                        {"density", routing.density()}});
  }

  // Phase 4: own public text first, then what was routed, by relevance (equation 3).
  void deliver(const topology::Routing& routing) {
    // In a debate the argument is public; everywhere else the private message travels.
    const bool open = shape_->kind() == topology::Kind::debate;
    for (size_t i = 0; i < count(); ++i) {
      Member& member = members_[i];
      member.memory.append({.round = round_, .author = "me", .text = member.message.public_text});
      for (const topology::Edge& edge : routing.edges) {
        if (static_cast<size_t>(edge.to) != i) continue;
        const size_t from = static_cast<size_t>(edge.from);
        const agents::WorkerMessage& sent = members_[from].message;
        const std::string& text = open ? sent.public_text : sent.private_text;
        if (text.empty()) continue;
        record("message.delivered", {{"from", name(from)}, {"to", name(i)}, {"score", edge.score},
                                     {"channel", open ? "public" : "private"}});
        member.memory.append(
            {.round = round_, .author = name(from), .text = text, .relevance = edge.score});
      }
      const auto chars_max = static_cast<size_t>(member.entry->config.memory_chars_max);
      for (const agents::Memory::Line& line : member.memory.trim(chars_max))
        record("memory.drop", {{"agent", name(i)}, {"from_round", line.round},
                               {"author", line.author}, {"chars", line.text.size()}});
    }
    order_ = routing.order;
  }

  // Phase 5. The manager sees goals and public texts, never what was routed.
  Async<Decision> decide(bool before_work) {
    const config::ManagerEntry& manager = *topology_.manager;
    std::vector<agents::Report> reports;
    if (!before_work)
      for (int32_t i : order_)
        reports.push_back({.author = name(static_cast<size_t>(i)),
                           .text = members_[static_cast<size_t>(i)].message.public_text});
    PassSpec spec{.task = input_.task_name, .round = round_, .agent = manager.config.name};
    spec.model = manager.model;
    spec.seed = mix_seed(mix_seed(env_.seed, count()), static_cast<uint64_t>(round_));
    spec.deadline = deadline_of(env_, input_.deadline, manager.timeout);
    spec.messages = manager_messages(manager, reports);
    spec.comes_again = comes_again(manager_messages(manager, {}));
    spec.output_schema = agents::manager_schema(
        {.status_options = manager.statuses,
         .goal_options = manager.goals,
         .members = topology_.answer.empty() ? topology_.members : topology_.answer});
    spec.hints = hints();
    const PassOutcome outcome = co_await run_agent(env_, manager.config, std::move(spec));
    Decision decision;
    if (!outcome.failure.empty()) {
      decision.failure = manager.config.name + " failed: " + outcome.failure;
      record("manager.decision", {{"failure", outcome.failure}});
      co_return decision;
    }
    agents::ManagerMessage message = agents::parse_manager(outcome.result);
    if (outcome.result.truncated) {
      // Half a decision is none: the goal stands, and the next round asks again.
      degraded_ = true;
      ++decisions_cut_;
      message.is_complete = false;
      message.next_goal.clear();
      message.answer_from.clear();
    }
    record("manager.decision", {{"status", message.status},
                                {"is_complete", message.is_complete},
                                {"next_goal", message.next_goal},
                                {"answer_from", message.answer_from},
                                {"finish", to_string(outcome.result.finish)},
                                {"truncated", outcome.result.truncated},
                                {"usage", to_json(outcome.result.usage)}});
    decision.complete = message.is_complete;
    decision.answer_from = message.answer_from;
    // Nothing new said: the goal stands.
    if (!message.next_goal.empty()) {
      goals_.push_back(message.next_goal);
    } else if (!goals_.empty()) {
      goals_.push_back(std::string(goals_.back()));
    }
    co_return decision;
  }

  std::vector<agents::Message> manager_messages(
      const config::ManagerEntry& manager, const std::vector<agents::Report>& reports) const {
    return agents::manager_prompt({.protocol = topology_.protocol,
                                   .task = input_.task,
                                   .name = manager.config.name,
                                   .instructions = manager.config.instructions,
                                   .goals = goals_,
                                   .reports = reports});
  }

  // The text is copied from the agent that was named, never written again.
  std::string answer_of(size_t i) const {
    return members_[i].last_answer.empty() ? members_[i].last_public : members_[i].last_answer;
  }
  std::string best_answer(const std::string& preferred) const {
    for (size_t i = 0; i < count(); ++i)
      if (name(i) == preferred && !answer_of(i).empty()) return answer_of(i);
    for (const std::string& agent : topology_.answer)
      for (size_t i = 0; i < count(); ++i)
        if (name(i) == agent && !members_[i].last_answer.empty()) return members_[i].last_answer;
    if (!topology_.answer.empty()) return "";
    for (size_t i = count(); i-- > 0;)
      if (!members_[i].last_public.empty()) return members_[i].last_public;
    return "";
  }

  TaskOutcome end(bool ok, std::string outcome, std::string error) const {
    TaskOutcome out;
    out.ok = ok;
    out.outcome = std::move(outcome);
    out.error = std::move(error);
    out.rounds = rounds_done_;
    out.degraded = degraded_;
    return out;
  }
  TaskOutcome with_answer(std::string outcome, const std::string& answer) const {
    TaskOutcome out = end(!answer.empty(), std::move(outcome), "");
    if (out.ok) {
      out.output = answer;
    } else {
      out.outcome = "no_answer";
      out.error = "the rounds ended, but nobody gave an answer";
      if (!failure_last_.empty()) out.error += "; the last that failed was " + failure_last_;
    }
    return out;
  }
  TaskOutcome complete(const std::string& answer_from) const {
    return with_answer("complete", best_answer(answer_from));
  }
  // Without a manager the last round is the end; with one it never said that the work is done.
  TaskOutcome exhausted() const {
    if (!topology_.manager) return with_answer("succeeded", best_answer(""));
    std::string error = "the manager did not finish within " +
                        std::to_string(topology_.rounds_max) +
                        (topology_.rounds_max == 1 ? " round" : " rounds");
    if (decisions_cut_ > 0)
      error += "; " + std::to_string(decisions_cut_) + " of its decisions were cut off";
    if (!failure_last_.empty()) error += "; the last that failed was " + failure_last_;
    TaskOutcome out = end(false, "rounds_exhausted", std::move(error));
    if (const std::string best = best_answer(""); !best.empty()) out.best = best;
    return out;
  }

  Environment& env_;
  const config::TopologyEntry& topology_;
  RoundsInput input_;
  std::unique_ptr<topology::Topology> shape_;
  std::unique_ptr<topology::Encoder> encoder_;
  std::vector<Member> members_;
  std::vector<agents::PassResult> results_ = std::vector<agents::PassResult>(
      topology_.members.size());
  std::vector<std::string> goals_;
  std::vector<int32_t> order_;       // sigma of this round
  int32_t round_ = 0;                // counted from 1
  int32_t rounds_done_ = 0;
  int32_t decisions_cut_ = 0;
  std::string failure_last_;         // "Clerk in round 2: why"
  bool degraded_ = false;
};

}  // namespace

Async<TaskOutcome> run_rounds(Environment& environment, const config::TopologyEntry& topology,
                              RoundsInput input) {
  Rounds rounds(environment, topology, std::move(input));
  co_return co_await rounds.run();
}

}  // namespace swarm::run
