#!/usr/bin/env python3
"""Trains the demo model from a seed on an endless stream of generated runs.

  python3 train.py                                          the whole recipe: final.pt
  python3 train.py --cycles 1 --tokens 1e6                  a trial of the first cycle
  python3 train.py --copy-test 80                           gate: is the initial circuit right?

One sample is one turn of one agent; the loss is on what the agent writes. A step is a few
micro-batches, spread over `--threads` threads; a share of them are copy batches (random segments
repeated in another order), which keep the induction circuit alive. Matrices are trained by Muon,
the rest by AdamW. A cycle is a number of tokens, so the same seed sees the same batches at the
same rates on every machine; its rate ends fully decayed.
"""

import argparse
import os
import random
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# One thread per worker, and buffers that stay mapped: without the latter a quarter of the time
# goes into page faults. The allocator reads its settings at start, hence the second start.
SETTINGS = {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
            "MALLOC_TRIM_THRESHOLD_": str(1 << 34), "MALLOC_TOP_PAD_": str(1 << 28)}
if __name__ == "__main__" and "MALLOC_TOP_PAD_" not in os.environ:
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **SETTINGS})

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

import family  # noqa: E402
import model  # noqa: E402
import tokenizer as bpe  # noqa: E402

# Share of the turns of each branch that is kept; most turns of a run are trivial.
KEEP = {
    "clerk": 1.0, "clerk-idle": 0.03, "solver": 1.0, "solver-again": 1.0, "solver-wait": 0.06,
    "solver-repeat": 0.2, "checker-ok": 0.8, "checker-wrong": 1.0, "checker-prices": 0.06,
    "checker-total": 0.15, "manager-sent": 0.06, "manager-found": 0.3, "manager-wrong": 0.4,
    "manager-no_prices": 0.3, "manager-no_total": 1.0, "manager-done": 0.3,
}
BALANCE_WEIGHT = 0.01
# Tokens of a cycle (padding and prompts included), peak rate (times Muon 0.01 and AdamW 0.002),
# share of the cycle at the peak, share of copy batches. The second one starts a new stream.
CYCLES = [
    {"tokens": 16e6, "peak": 1.0, "hold": 0.5, "copy": 0.3},
    {"tokens": 6e6, "peak": 0.4, "hold": 0.4, "copy": 0.15},
]
LENGTH_STEP = 32


def branch(view, turn) -> str:
    """Which case of the rules a turn is."""
    role = view.role.lower()
    if role == "manager":
        status = next(k for k, v in family.STATUSES.items() if v == turn.final["status"])
        return f"manager-{status}"
    if role == "clerk":
        return "clerk" if turn.calls else "clerk-idle"
    if role == "solver" and turn.calls:
        return "solver" if view.goals[-1] == family.GOALS["total"] else "solver-again"
    if role == "solver":
        return "solver-repeat" if turn.final["answer"] else "solver-wait"
    if turn.calls:
        return "checker-ok" if "approved" in turn.final["public"] else "checker-wrong"
    waits = turn.final["public"] == family.MESSAGES["wait_prices"]
    return "checker-prices" if waits else "checker-total"


def wrong_expression(expression: str, rng: random.Random) -> str:
    """A near miss: one number off, or the last term forgotten."""
    terms = family.re.findall(r"[+-]?[\d*]+", expression)
    if len(terms) > 1 and rng.random() < 0.35:
        terms.pop(rng.randrange(1, len(terms)))
        return "".join(terms)
    numbers = list(family.re.finditer(r"\d+", expression))
    spot = rng.choice(numbers)
    value = max(1, int(spot[0]) + rng.choice([-10, -2, -1, 1, 1, 2, 10, 20]))
    return expression[:spot.start()] + str(value) + expression[spot.end():]


class Stream:
    """Endless samples (tokens, completion mask, branch) from simulated runs."""

    def __init__(self, seed, tokenizer, held_out=False):
        self.seed, self.tokenizer, self.held_out = seed, tokenizer, held_out
        self.run, self.ready = 0, []
        self.rng = random.Random(f"stream/{seed}")
        self.lines_max = 3

    def next(self):
        while not self.ready:
            self.play_one()
        return self.ready.pop()

    def play_one(self):
        """One run; 35 % with a wrong first total, 15 % losing edges of a round, 7 % all edges."""
        rng = self.rng
        self.run += 1
        order = family.make_order(f"{self.seed}/{self.run}", self.held_out)
        if len(order.lines) > self.lines_max:
            return
        spoil = [rng.random() < 0.35]
        kind, lost = rng.random(), rng.randint(1, 3)
        drop = {True: lambda number: number == lost and rng.random() < 0.6}.get(kind < 0.15)
        drop = (lambda number: True) if kind > 0.93 else drop

        def act(view, tool):
            turn = family.oracle(view, tool)
            if spoil[0] and view.role == "Solver" and turn.calls:
                spoil[0] = False
                wrong = wrong_expression(turn.calls[0][1]["expression"], rng)
                calls = [("calculator", {"expression": wrong})]
                results = [tool(calls[0])]
                return family.Turn(calls, results, family.oracle_final(view, results))
            label = branch(view, turn)
            if rng.random() < KEEP[label]:
                self.ready.append(self.encode(view, turn) + (label,))
            return turn

        family.play(order, act, drop_edge=drop)

    def encode(self, view, turn):
        tokens, mask = [], []
        for text, completion in family.segments(view, turn):
            ids = self.tokenizer.encode(text)
            tokens += ids
            mask += [completion] * len(ids)
        return tokens, mask


def padded(length: int) -> int:
    return -(-length // LENGTH_STEP) * LENGTH_STEP


def pack(samples, device="cpu"):
    """-> tokens [batch, length], flat positions that predict a completion token, its targets.

    Lengths are multiples of LENGTH_STEP and the positions of 64 (target -100: no loss).
    """
    longest = max(len(s[0]) for s in samples) - 1
    length = padded(longest)
    tokens = torch.zeros(len(samples), length, dtype=torch.long)
    wanted, targets = [], []
    for row, (ids, mask, *_) in enumerate(samples):
        n = len(ids) - 1
        tokens[row, :n] = torch.tensor(ids[:n])
        spots = [i for i in range(n) if mask[i + 1]]
        wanted += [row * length + i for i in spots]
        targets += [ids[i + 1] for i in spots]
    padding = -len(wanted) % 64
    wanted, targets = wanted + wanted[:1] * padding, targets + [-100] * padding
    return tokens.to(device), torch.tensor(wanted).to(device), torch.tensor(targets).to(device)


def copy_batch(rng, budget, device="cpu", alphabet=model.VOCABULARY):
    """Rows of segments of random tokens, then the segments again in another order."""
    samples, length = [], 0
    while padded(length) * (len(samples) + 1) <= budget:
        parts = [[rng.randrange(alphabet) for _ in range(rng.randint(2, 9))]
                 for _ in range(rng.randint(2, 6))]
        again = rng.sample(parts, len(parts))
        ids = sum(parts, []) + sum(again, [])
        mask = [False] * (len(ids) // 2) + sum(([False] + [True] * (len(p) - 1) for p in again), [])
        samples.append((ids, mask))
        length = max(length, len(ids))
    return pack(samples, device)


class Batches:
    """Micro-batches of similar length, at most `budget` padded tokens each."""

    def __init__(self, stream, budget, device):
        self.stream, self.budget, self.device, self.queue = stream, budget, device, []

    def next(self):
        if not self.queue:
            pool = sorted((self.stream.next() for _ in range(96)), key=lambda s: len(s[0]))
            group = []
            for sample in pool:
                if padded(len(sample[0])) * (len(group) + 1) > self.budget:
                    self.queue.append(group)
                    group = []
                group.append(sample)
            self.queue.append(group)
            self.stream.rng.shuffle(self.queue)
        return pack(self.queue.pop(), self.device)


# ---- Optimiser ---------------------------------------------------------------------------------


def orthogonalise(x):
    """Newton-Schulz towards the nearest orthogonal matrices; x: [count, rows, cols]."""
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).bfloat16()
    for _ in range(4):
        a = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return x.float()


class Optimiser:
    """Muon for slices of matrices, AdamW for the rest. Rates are given per step."""

    def __init__(self, weights):
        self.weights, self.step_count = weights, 0
        self.first = {name: torch.zeros_like(t) for name, t in weights.items()}
        self.matrix = [n for n in weights if any(k in n for k in model.MATRICES)
                       and "norm" not in n]
        self.second = {n: torch.zeros_like(t) for n, t in weights.items() if n not in self.matrix}

    def step(self, grads, rate, pool):
        self.step_count += 1
        muon, adam = 0.01 * rate, 2e-3 * rate
        names = list(self.second)
        norm = torch.sqrt(sum(grads[n].square().sum() for n in names))
        clip = torch.clamp(1.0 / (norm + 1e-6), max=1.0)
        for name in names:
            self.adam(name, grads[name] * clip, adam)
        shapes = defaultdict(list)
        for name in self.matrix:
            shapes[self.weights[name].shape[-1] * (128 if "_k." in name or "_v." in name else 1)
                   ].append(name)
        halves = [names[i::2] for names in shapes.values() for i in (0, 1)]
        list(pool.map(lambda names: self.muon(names, grads, muon), halves))

    def adam(self, name, grad, rate):
        p, m, v, t = self.weights[name], self.first[name], self.second[name], self.step_count
        m.lerp_(grad, 0.1)
        v.lerp_(grad.square(), 0.02)
        p.sub_(rate * (m / (1 - 0.9 ** t)) / ((v / (1 - 0.98 ** t)).sqrt() + 1e-8))

    def muon(self, names, grads, rate):
        """All names share one slice shape, once gate and up are taken apart."""
        rows = 128 if "attn_k" in names[0] or "attn_v" in names[0] else 256
        slices = []
        for name in names:
            moment, grad = self.first[name], grads[name]
            moment.mul_(0.95).add_(grad)
            slices.append((grad + 0.95 * moment).view(-1, rows, model.HIDDEN))
        update = orthogonalise(torch.cat(slices)).split([len(s) for s in slices])
        for name, u in zip(names, update):
            self.weights[name].mul_(1 - 0.01 * rate).sub_(rate * u.view_as(self.weights[name]))


# ---- Loop --------------------------------------------------------------------------------------


class Worker:
    """Gradient of one micro-batch after another, on leaves of its own."""

    def __init__(self, weights):
        self.leaves = model.working_copy(weights, grad=True)

    def run(self, batches, total):
        """Loss of each batch; gradients of the sum over `total` targets stay in the leaves."""
        losses = []
        for tokens, wanted, targets in batches:
            logits, balance = model.forward(self.leaves, tokens, wanted)
            loss = F.cross_entropy(logits, targets, reduction="sum", ignore_index=-100)
            count = int((targets >= 0).sum())
            (loss / total + BALANCE_WEIGHT * balance * count / total).backward()
            losses.append(loss.item() / count)
        return losses


def train_step(weights, optimiser, batches, rate, pool, threads):
    """Returns the loss of each batch."""
    workers = [Worker(weights) for _ in range(min(threads, len(batches)))]
    total = sum(int((targets >= 0).sum()) for *_, targets in batches)
    jobs = [pool.submit(w.run, batches[i::threads], total) for i, w in enumerate(workers)]
    losses = [None] * len(batches)
    for i, job in enumerate(jobs):
        losses[i::threads] = job.result()
    grads = {}
    for name in weights:
        parts = [w.leaves[name].grad for w in workers if w.leaves[name].grad is not None]
        grads[name] = sum(part.float() for part in parts)
    with torch.no_grad():
        optimiser.step(grads, rate, pool)
    return losses


def rate_at(progress, step, hold):
    """Warm-up over 100 steps, constant until `hold`, then linear to 3 %."""
    decay = 1.0 if progress < hold else 1.0 - 0.97 * (progress - hold) / (1.0 - hold)
    return min(1.0, (step + 1) / 100) * decay


@torch.no_grad()
def exactness(weights, samples, device):
    """Per branch: share of turns whose every completion token is the arg-max (= greedy exact)."""
    w = model.working_copy(weights)
    right, seen = Counter(), Counter()
    for i in range(0, len(samples), 8):
        group = samples[i:i + 8]
        tokens, wanted, targets = pack(group, device)
        logits, _ = model.forward(w, tokens, wanted)
        wrong = wanted[(logits.argmax(-1) != targets) & (targets >= 0)]
        wrong_rows = set((wrong // tokens.shape[1]).tolist())
        for row, sample in enumerate(group):
            seen[sample[2]] += 1
            right[sample[2]] += row not in wrong_rows
    return {name: (right[name], seen[name]) for name in sorted(seen)}


def copy_test(steps, weights, optimiser, pool, options):
    rng, recent = random.Random(options.seed), []
    for step in range(steps):
        batch = copy_batch(rng, options.budget, options.device)
        recent += train_step(weights, optimiser, [batch], 1.0, pool, 1)
        if step % 20 == 19:
            print(f"step {step + 1}: copy loss {sum(recent[-20:]) / 20:.3f}", flush=True)


def train(options, number, cycle, weights, optimiser, pool):
    """One cycle; its data and its copy batches come from the seed and the cycle's number."""
    tokenizer = bpe.load()
    seed = f"{options.seed}.{number}"
    stream = Stream(seed, tokenizer)
    batches = Batches(stream, options.budget, options.device)
    held_out = Stream(0, tokenizer, held_out=True)
    samples = [held_out.next() for _ in range(options.samples)]
    rng = random.Random(f"copy/{seed}")
    out = Path(options.out)
    out.mkdir(exist_ok=True)
    total = options.tokens or cycle["tokens"]
    start, saved, step, tokens = time.time(), time.time(), 0, 0
    history = defaultdict(list)

    def prepare(progress):
        stream.lines_max = 3 if number > 1 or progress > 0.08 else 1 + int(progress / 0.04)
        return [copy_batch(rng, options.budget, options.device) if rng.random() < cycle["copy"]
                else batches.next() for _ in range(options.micro)]

    ahead = ThreadPoolExecutor(1)  # the next step is generated while this one is computed
    current = prepare(0.0)
    while (progress := tokens / total) < 1.0:
        rate = cycle["peak"] * rate_at(progress, step, cycle["hold"])
        job = ahead.submit(train_step, weights, optimiser, current, rate, pool, options.threads)
        following = prepare(progress)
        losses = job.result()
        for loss, batch in zip(losses, current):
            history["family" if batch[0].shape[1] > 128 else "copy"].append(loss)
            tokens += batch[0].numel()
        current, step = following, step + 1
        if step % 50 == 0:
            means = "  ".join(f"{k} {sum(v) / len(v):.4f}" for k, v in sorted(history.items()))
            seconds = time.time() - start
            print(f"{seconds:6.0f} s  step {step}  {tokens / 1e6:.2f} M tokens  "
                  f"{tokens / seconds:.0f}/s  rate {rate:.3f}  {means}",
                  flush=True)
            history.clear()
        if time.time() - saved > 60 * options.save_minutes:
            saved = time.time()
            save(out / "last.pt", weights, tokens, options)
            print(summary(exactness(weights, samples, options.device)), flush=True)
    save(out / f"cycle{number}.pt", weights, tokens, options)
    print(f"cycle {number}: {tokens} tokens in {step} steps, {time.time() - start:.0f} s\n" +
          summary(exactness(weights, samples, options.device)), flush=True)


def summary(result) -> str:
    cells = [f"{name} {right}/{seen}" for name, (right, seen) in result.items()]
    right, seen = (sum(pair[i] for pair in result.values()) for i in (0, 1))
    return f"  exact {right}/{seen}: " + ", ".join(cells)


def save(path, weights, tokens, options):
    state = {"weights": weights, "tokens": tokens, "options": vars(options)}
    torch.save(state, f"{path}.part")
    os.replace(f"{path}.part", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default="checkpoints")
    parser.add_argument("--cycles", type=int, default=len(CYCLES), help="of the recipe")
    parser.add_argument("--tokens", type=float, help="of each cycle, instead of the recipe's")
    parser.add_argument("--budget", type=int, default=1664, help="padded tokens of a micro-batch")
    parser.add_argument("--micro", type=int, default=4, help="micro-batches of a step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--save-minutes", type=float, default=5)
    parser.add_argument("--samples", type=int, default=400, help="held-out turns at each save")
    parser.add_argument("--copy-test", type=int, metavar="STEPS")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    weights = {name: tensor.to(options.device)
               for name, tensor in model.initial_weights(options.seed).items()}
    optimiser = Optimiser(weights)
    with ThreadPoolExecutor(options.threads) as pool:
        if options.copy_test:
            return copy_test(options.copy_test, weights, optimiser, pool, options)
        for number, cycle in enumerate(CYCLES[:options.cycles], 1):
            train(options, number, cycle, weights, optimiser, pool)
    save(Path(options.out) / "final.pt", weights, None, options)


if __name__ == "__main__":
    main()
