#!/usr/bin/env python3
"""The price desk: a family of synthetic orders, the rules every agent follows, and the run loop.

An order names items and quantities; the unit prices sit behind the Clerk's tool and the
arithmetic behind the calculator, so a run succeeds only if private messages are routed from
Clerk to Solver and Checker. Everything here is deterministic from a seed and needs nothing but
the standard library.

  python3 family.py --check 500     the rules play all roles: 100 % with routing, 0 % without
  python3 family.py --show 7        print every prompt and completion of one run

Texts live in desk.json (one source of truth, also for the YAML of the example). The rules
(`oracle`) read only a `View`: what the prompt of that turn contains.
"""

import argparse
import json
import math
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

DESK = json.loads((Path(__file__).resolve().parent / "desk.json").read_text(encoding="utf-8"))
GOALS, STATUSES, MESSAGES = DESK["goals"], DESK["statuses"], DESK["messages"]

NOUNS = """anchors axles bags bands bars baskets belts bells blades blankets blocks boards boots
bottles bowls boxes brackets bricks brooms brushes buckets buckles bulbs buttons cables candles
canvases carts caps chairs chains chisels clamps clips clocks coils cones cords covers crates cups
curtains cushions desks dials discs doors drawers drills drums fans files filters flags flasks
forks frames funnels fuses gauges gears gloves grills hammers handles hats hinges hoses jars jugs
keys knives knobs ladders lamps lenses levers lids locks magnets maps masks mats mirrors motors
mugs nails needles nets nuts ovens pads paddles pans pegs pens pins pipes planks plates pliers
plugs poles pots pulleys pumps racks rails ribbons rings rods ropes rulers sacks saws scales
scissors screens seals shelves sieves sinks sockets spades spoons springs stamps stools straps
switches tables tanks tapes tiles tins tongs trays tubes valves vases wheels wires""".split()

HELD_OUT_NOUNS = """bolts hooks screws washers sensors rivets towels staples kettles sponges
beakers pencils""".split()

ONSETS = """b bl br ch d dr f fl g gl gr h j k kl kr l m n p pl pr qu r s sk sl st t tr v w x
z""".split()
VOWELS = "a e i o u ai ea oo".split()
CODAS = ["", "", "", "b", "g", "k", "l", "m", "n", "p", "r", "s", "t", "x", "nd", "rk", "ks"]

FRAMES = ["Order: {}.", "A customer wants {}.", "Please price {}.", "The workshop needs {}."]
DISTRACTORS = ["Reference {}.", "The last order had {} boxes.", "Call room {}.",
               "Shelf {} is empty."]


@dataclass
class Order:
    """One order. `task` is all that the agents are told; `prices` sits behind the tool."""

    lines: list  # (item, quantity)
    prices: dict  # item -> unit price
    delivery: int  # 0 = none
    voucher: int  # 0 = none
    task: str

    def expression(self) -> str:
        """The expression that Solver and Checker should hand to the calculator."""
        terms = [f"{quantity}*{self.prices[item]}" for item, quantity in self.lines]
        return join_terms(terms, self.delivery, self.voucher)

    def total(self) -> int:
        return calculate(self.expression())


def join_terms(terms, delivery, voucher) -> str:
    """`7*14+3*3` plus delivery minus voucher, each only if there is one."""
    tail = (f"+{delivery}" if delivery else "") + (f"-{voucher}" if voucher else "")
    return "+".join(terms) + tail


def calculate(expression: str) -> int:
    """Sums of products of integers: all that the family needs of a calculator."""
    if not re.fullmatch(r"\d+(\*\d+)*([+-]\d+(\*\d+)*)*", expression):
        raise ValueError(f"cannot compute: {expression}")
    total = 0
    for sign, term in re.findall(r"([+-]?)([\d*]+)", expression):
        total += (-1 if sign == "-" else 1) * math.prod(int(x) for x in term.split("*"))
    return total


def made_up_name(rng: random.Random) -> str:
    """Two or three syllables, or one in six fully random letters."""
    if rng.random() < 1 / 6:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(4, 8)))
    parts = [rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(rng.choice([2, 2, 3]))]
    return "".join(parts) + rng.choice(CODAS)


def make_order(seed, held_out=False, lines=None) -> Order:
    """The order of a seed. Training (held_out=False) and evaluation never share a stream."""
    rng = random.Random(f"{'evaluation' if held_out else 'training'}/{seed}")
    count = lines or rng.choices([1, 2, 3], [35, 40, 25])[0]
    nouns = HELD_OUT_NOUNS if held_out else NOUNS
    items = []
    while len(items) < count:
        name = rng.choice(nouns) if rng.random() < 0.45 else made_up_name(rng)
        if name not in items:
            items.append(name)
    order_lines = [(item, rng.randint(1, 20)) for item in items]
    prices = {item: rng.randint(1, 99) for item in items}
    subtotal = sum(quantity * prices[item] for item, quantity in order_lines)
    delivery = rng.randint(1, 30) if rng.random() < 0.5 else 0
    voucher = rng.randint(1, min(20, subtotal)) if rng.random() < 0.35 and subtotal > 1 else 0
    voucher = min(voucher, subtotal - 1)
    order = Order(order_lines, prices, delivery, voucher, "")
    order.task = task_text(order, rng)
    return order


def task_text(order: Order, rng: random.Random) -> str:
    """One frame with the quoted lines, then delivery, voucher and distractors in any order."""
    quoted = [f'"{item}" x {quantity}' for item, quantity in order.lines]
    last = [" and ".join(quoted[-2:])] if rng.random() < 0.5 else quoted[-2:]
    extras = [f"Delivery {order.delivery}."] if order.delivery else []
    extras += [f"Voucher {order.voucher}."] if order.voucher else []
    if rng.random() < 0.4:
        extras.append(rng.choice(DISTRACTORS).format(rng.randint(2, rng.choice([20, 99, 9999]))))
    rng.shuffle(extras)
    return " ".join([rng.choice(FRAMES).format(", ".join(quoted[:-2] + last))] + extras)


# ---- What an agent sees, and the text of it ----------------------------------------------------


@dataclass
class View:
    """Everything that the prompt of one turn contains."""

    role: str
    task: str
    goals: list  # workers see only the last one
    memory: list = field(default_factory=list)  # workers; lines "[1] me: text"
    reports: list = field(default_factory=list)  # Manager; lines "[2] Clerk: text"
    tools: list = field(default_factory=list)

    def user_text(self) -> str:
        head = f"Role: {self.role}. {DESK['instructions'][self.role]}\n"
        if self.role == DESK["manager"]:
            goals = [f"[{i}] {goal}" for i, goal in enumerate(self.goals, 1)]
            return head + "\n".join(["Goals:", *goals, "Reports:", *self.reports])
        return head + "\n".join(["Memory:", *self.memory, f"Goal: {self.goals[-1]}"])

    def prompt(self) -> str:
        """The rendered prompt, up to and including the generation prompt."""
        system = f"{DESK['protocol']}\nTask: {self.task}"
        if self.tools:
            signatures = [f"{tool}({', '.join(DESK['parameters'][tool])})" for tool in self.tools]
            system += "\nTools: " + ", ".join(signatures)
        return (f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{self.user_text()}"
                "<|im_end|>\n<|im_start|>assistant\n")


@dataclass
class Turn:
    """What an agent did: tool calls [(name, arguments)], their results, and the final object."""

    calls: list
    results: list
    final: dict


def calls_text(calls) -> str:
    blocks = [
        f'<tool_call>\n{{"name": "{name}", "arguments": {json.dumps(arguments)}}}\n</tool_call>'
        for name, arguments in calls
    ]
    return "\n".join(blocks)


def results_text(results) -> str:
    """From the end of the calls to the next generation prompt."""
    blocks = "".join(f"\n<tool_response>\n{text}\n</tool_response>" for text in results)
    return f"\n<|im_start|>user{blocks}<|im_end|>\n<|im_start|>assistant\n"


def segments(view: View, turn: Turn):
    """[(text, is_completion)] whose concatenation is the whole rendered turn."""
    parts = [(view.prompt(), False)]
    if turn.calls:
        parts.append((calls_text(turn.calls) + "<|im_end|>", True))
        parts.append((results_text(turn.results), False))
    parts.append((json.dumps(turn.final, ensure_ascii=False) + "<|im_end|>", True))
    return parts


# ---- The rules ---------------------------------------------------------------------------------


def report(role, public="", private="", query="", key="", answer="") -> dict:
    values = dict(public=public, private=private, answer=answer, query=query, key=key)
    return {name: values[name] for name in DESK["fields"][role]}


def last_line(view: View, author: str, pattern: str):
    """The newest memory line of `author` that matches, or None."""
    for line in reversed(view.memory):
        match = re.fullmatch(rf"\[\d+\] {author}: {pattern}", line)
        if match:
            return match
    return None


def oracle_calls(view: View) -> list:
    """The tool calls that the rules make at the start of this turn."""
    if view.role == "Clerk" and view.goals[-1] == GOALS["prices"]:
        return [("shop__price", {"item": item}) for item in re.findall(r'"(\w+)"', view.task)]
    solver = view.role == "Solver" and view.goals[-1] in (GOALS["total"], GOALS["again"])
    checker = (view.role == "Checker" and view.goals[-1] == GOALS["check"]
               and last_line(view, "Solver", r"total (\d+)"))
    prices = last_line(view, "Clerk", r"(.*)")
    if not prices or not (solver or checker):
        return []
    delivery = re.search(r"Delivery (\d+)\.", view.task)
    voucher = re.search(r"Voucher (\d+)\.", view.task)
    terms = re.findall(r": (\d+\*\d+)", prices[1])
    expression = join_terms(terms, delivery and delivery[1], voucher and voucher[1])
    return [("calculator", {"expression": expression})]


def oracle_final(view: View, results: list) -> dict:
    """The final object, given the results of `oracle_calls`."""
    if view.role == DESK["manager"]:
        return manager_rule(view)
    return {"Clerk": clerk_rule, "Solver": solver_rule, "Checker": checker_rule}[view.role](
        view, results)


def clerk_rule(view: View, results: list) -> dict:
    if not results:
        return report("Clerk")
    lines = []
    for text in results:
        item, price = text.split(": ")
        quantity = re.search(rf'"{item}" x (\d+)', view.task)[1]
        lines.append(f"{item}: {quantity}*{price}")
    return report("Clerk", MESSAGES["prices_sent"], ", ".join(lines), key="unit prices")


def solver_rule(view: View, results: list) -> dict:
    own = last_line(view, "me", r"Total (\d+)\.")
    total = results[0] if results else own and own[1]
    if not total:
        return report("Solver", MESSAGES["wait_prices"], query="unit prices")
    return report("Solver", f"Total {total}.", f"total {total}", "check result", "order total",
                  total)


def checker_rule(view: View, results: list) -> dict:
    if not results:
        if not last_line(view, "Clerk", ".*"):
            return report("Checker", MESSAGES["wait_prices"], query="unit prices")
        return report("Checker", MESSAGES["wait_total"], query="order total")
    theirs, mine = last_line(view, "Solver", r"total (\d+)")[1], results[0]
    verdict, private = ("approved", f"total {theirs} approved")
    if theirs != mine:
        verdict, private = ("wrong", f"total {theirs} is wrong")
    return report("Checker", f"Solver {theirs}, mine {mine}: {verdict}.", private,
                  key="check result")


def manager_rule(view: View) -> dict:
    """Looks at the current goal and at the reports of this round only."""
    reports = "\n".join(view.reports)
    status, goal = "found", "check"
    if view.goals[-1] == GOALS["prices"]:
        status, goal = "sent", "total"
    elif ": approved." in reports:
        status, goal = "done", ""
    elif ": wrong." in reports:
        status, goal = "wrong", "again"
    elif MESSAGES["wait_prices"] in reports and (
            view.goals[-1] == GOALS["check"] or "Total " not in reports):
        status, goal = "no_prices", "prices"
    elif view.goals[-1] == GOALS["check"]:
        status, goal = "no_total", "total"
    done = status == "done"
    return {"status": STATUSES[status], "is_complete": done,
            "next_goal": GOALS[goal] if goal else "",
            "answer_from": DESK["answer_agent"] if done else ""}


# ---- Routing and the run loop ------------------------------------------------------------------


def cosine(a: str, b: str) -> float:
    """Lexical encoder: bag of lower-case words."""
    words_a, words_b = a.lower().split(), b.lower().split()
    if not words_a or not words_b:
        return 0.0
    dot = sum(words_a.count(word) * words_b.count(word) for word in set(words_a))
    norm = math.sqrt(sum(words_a.count(w) ** 2 for w in set(words_a))
                     * sum(words_b.count(w) ** 2 for w in set(words_b)))
    return dot / norm


def route(finals: list, tau: float, k_in: int) -> list:
    """providers[i] = [j...] by falling score then index, for each consumer i."""
    providers = []
    for i, consumer in enumerate(finals):
        scores = [(-cosine(consumer["query"], other["key"]), j)
                  for j, other in enumerate(finals) if j != i]
        providers.append([j for score, j in sorted(scores) if -score > tau][:k_in])
    return providers


def reading_order(providers: list) -> list:
    """Greedy: always the unplaced agent with the fewest unplaced providers, ties by index."""
    unplaced, order = list(range(len(providers))), []
    while unplaced:
        nxt = min(unplaced, key=lambda i: (sum(j in unplaced for j in providers[i]), i))
        unplaced.remove(nxt)
        order.append(nxt)
    return order


@dataclass
class Outcome:
    answer: str
    complete: bool
    rounds: int


def play(order: Order, act, tau=None, drop_edge=None) -> Outcome:
    """Runs the desk. `act(view, run_tool) -> Turn` plays a turn of any role.

    drop_edge(round) -> bool loses single edges (training data only).
    """
    tau = DESK["tau"] if tau is None else tau
    members, goals, answers = DESK["members"], [DESK["first_goal"]], {}
    memory = {name: [] for name in members}
    for number in range(1, DESK["rounds_max"] + 1):
        finals = []
        for name in members:
            view = View(name, order.task, list(goals), list(memory[name]),
                        tools=DESK["tools"][name])
            finals.append(act(view, lambda call: run_tool(order, call)).final)
            if finals[-1].get("answer"):
                answers[name] = finals[-1]["answer"]
        providers = route(finals, tau, DESK["k_in"])
        if drop_edge:
            providers = [[j for j in row if not drop_edge(number)] for row in providers]
        for i, name in enumerate(members):
            heard = [("me", finals[i]["public"])]
            heard += [(members[j], finals[j]["private"]) for j in providers[i]]
            memory[name] += [f"[{number}] {who}: {text}" for who, text in heard if text]
        reports = [f"[{number}] {members[i]}: {finals[i]['public']}"
                   for i in reading_order(providers) if finals[i]["public"]]
        view = View(DESK["manager"], order.task, list(goals), reports=reports)
        decision = act(view, None).final
        if decision["is_complete"]:
            return Outcome(answers.get(decision["answer_from"], ""), True, number)
        goals.append(decision["next_goal"])
    return Outcome(answers.get(DESK["answer_agent"], ""), False, DESK["rounds_max"])


def run_tool(order: Order, call) -> str:
    """The text that a tool returns, errors included."""
    name, arguments = call
    if name == "shop__price":
        item = arguments.get("item")
        return f"{item}: {order.prices[item]}" if item in order.prices else f"unknown item: {item}"
    try:
        return str(calculate(arguments.get("expression", "")))
    except ValueError as error:
        return str(error)


def oracle(view: View, tool) -> Turn:
    calls = oracle_calls(view)
    results = [tool(call) for call in calls]
    return Turn(calls, results, oracle_final(view, results))


# ---- Command line ------------------------------------------------------------------------------


def check(runs: int) -> bool:
    """All roles by the rules: every run right with routing, none without."""
    right = blind = 0
    for seed in range(runs):
        order = make_order(seed, held_out=True)
        outcome = play(order, oracle)
        right += outcome.complete and outcome.answer == str(order.total())
        blind += play(order, oracle, tau=1.1).answer == str(order.total())
    print(f"routing on: {right} of {runs} runs right; routing off: {blind} of {runs}")
    return right == runs and blind == 0


def show(seed: int):
    def act(view, tool):
        turn = oracle(view, tool)
        print("".join(text for text, _ in segments(view, turn)), end="\n\n")
        return turn

    print(play(make_order(seed, held_out=True), act))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", type=int, metavar="RUNS")
    parser.add_argument("--show", type=int, metavar="SEED")
    options = parser.parse_args()
    if options.show is not None:
        show(options.show)
    elif not check(options.check or 500):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
