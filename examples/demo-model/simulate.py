#!/usr/bin/env python3
"""Whole runs with the model in all four roles: real routing, greedy, no grammar, in PyTorch.

  python3 simulate.py demo-model.gguf --runs 100 --lines 1,2,3 [--no-routing] [--show-errors]

Decoding is greedy but quick: what the rules would write is offered as a guess, checked in one
forward pass, and where the model differs the guess is taken up again as soon as it fits. The
result is exactly the greedy one. Reads a .gguf (dequantised, f32) or a checkpoint .pt.
"""

import argparse
import json
import math
import re
import time
from collections import Counter

import torch

import export
import family
import model
import tokenizer as bpe

COMPLETION_MAX = 220
CALL = re.compile(r'<tool_call>\n\{"name": "(\w+)", "arguments": (\{.*?\})\}\n</tool_call>')


def wilson(right: int, count: int) -> tuple:
    """95 % interval of a share, in per cent."""
    z, p = 1.96, right / count
    middle, width = p + z * z / (2 * count), z * math.sqrt((p * (1 - p) + z * z / (4 * count))
                                                           / count)
    scale = 100 / (1 + z * z / count)
    return (middle - width) * scale, (middle + width) * scale


def after(offered: list, pair: list) -> list:
    """What follows the last occurrence of two tokens, to go on guessing after a difference."""
    for i in range(len(offered) - 2, 0, -1):
        if offered[i - 1:i + 1] == pair:
            return offered[i + 1:]
    return []


class Player:
    """Plays turns with the model; counts turns that differ from the rules, by role."""

    def __init__(self, path):
        if path.endswith(".gguf"):
            weights = export.weights_of(export.read(path))
        else:
            weights = torch.load(path, map_location="cpu")["weights"]
        self.weights = model.working_copy(weights, torch.float32)
        self.tokenizer = bpe.load()
        self.end = self.tokenizer.id_of("<|im_end|>")
        self.turns, self.different, self.broken, self.errors = Counter(), Counter(), 0, []

    @torch.no_grad()
    def next_ids(self, ids, first):
        """Arg-max after each position from `first` on."""
        wanted = torch.arange(first, len(ids))
        logits, _ = model.forward(self.weights, torch.tensor([ids]), wanted, torch.float32)
        return logits.argmax(-1).tolist()

    def complete(self, text: str, guess: str) -> str:
        """The greedy completion of `text`, without the end token."""
        prompt = self.tokenizer.encode(text)
        offered = self.tokenizer.encode(guess + "<|im_end|>")
        ids, rest = list(prompt), offered
        while ids[-1] != self.end and len(ids) - len(prompt) < COMPLETION_MAX:
            chosen = self.next_ids(ids + rest[:-1], len(ids) - 1)
            for mine, theirs in zip(chosen, rest or [None]):
                ids.append(mine)
                if mine != theirs:
                    break
            rest = after(offered, ids[-2:])
        return self.tokenizer.decode(ids[len(prompt):]).removesuffix("<|im_end|>")

    def act(self, view, tool):
        """One turn, tool calls included."""
        text, calls, results, spoken, ideal = view.prompt(), [], [], [], []
        guess = family.calls_text(family.oracle_calls(view)) or self.final_guess(view, [])
        for _ in range(3):
            completion = self.complete(text, guess)
            spoken.append(completion)
            ideal.append(guess)
            found = CALL.findall(completion) if "<tool_call>" in completion else []
            if not found or not view.tools:
                break
            calls = [(name, self.parsed(arguments)) for name, arguments in found]
            results = [tool(call) for call in calls]
            text += completion + "<|im_end|>" + family.results_text(results)
            guess = self.final_guess(view, results)
        self.turns[view.role] += 1
        if spoken != ideal:
            self.different[view.role] += 1
            self.errors.append((view, spoken, ideal))
        return family.Turn(calls, results, self.final_of(view, spoken[-1]))

    @staticmethod
    def final_guess(view, results) -> str:
        try:
            return json.dumps(family.oracle_final(view, results))
        except (TypeError, ValueError, IndexError):
            return ""  # a state that the rules never reach

    @staticmethod
    def parsed(arguments: str) -> dict:
        try:
            return json.loads(arguments)
        except ValueError:
            return {}

    def final_of(self, view, completion) -> dict:
        """The final object; an unreadable one says nothing and decides nothing."""
        if view.role == family.DESK["manager"]:
            final = {"status": "", "is_complete": False, "next_goal": view.goals[-1],
                     "answer_from": ""}
        else:
            final = dict.fromkeys(family.DESK["fields"][view.role], "")
        value = self.parsed(completion)
        if not isinstance(value, dict) or set(value) != set(final):
            self.broken += 1
            return final
        return value


def simulate(player, seeds, lines, tau):
    counts = Counter()
    for seed in seeds:
        order = family.make_order(seed, held_out=True, lines=lines)
        outcome = family.play(order, player.act, tau=tau)
        right = outcome.answer == str(order.total())
        counts["right"] += right and outcome.complete
        counts["halted wrong"] += outcome.complete and not right
        counts["not halted"] += not outcome.complete
        counts["rounds"] += outcome.rounds
        if not right:
            print(f"  seed {seed}: {outcome}, wanted {order.total()}", flush=True)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--lines", default="1,2,3")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--no-routing", action="store_true", help="tau above every score")
    parser.add_argument("--show-errors", type=int, default=0, metavar="N")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    player = Player(options.weights)
    seeds = range(options.first_seed, options.first_seed + options.runs)
    for lines in map(int, options.lines.split(",")):
        start = time.time()
        counts = simulate(player, seeds, lines, 1.1 if options.no_routing else None)
        right, (low, high) = counts["right"], wilson(counts["right"], options.runs)
        print(f"{lines} line(s): {right} of {options.runs} right "
              f"({100 * right / options.runs:.1f} %, 95 % interval {low:.1f}-{high:.1f}), "
              f"halted wrong {counts['halted wrong']}, not halted {counts['not halted']}, "
              f"mean rounds {counts['rounds'] / options.runs:.2f}, {time.time() - start:.0f} s",
              flush=True)
    total, different = sum(player.turns.values()), sum(player.different.values())
    print(f"turns as the rules: {total - different} of {total}; differing by role: "
          f"{dict(player.different)}; unreadable finals: {player.broken}")
    for view, spoken, ideal in player.errors[:options.show_errors]:
        print("----", view.role, view.task, view.user_text(), *spoken, "expected", *ideal, sep="\n")


if __name__ == "__main__":
    main()
