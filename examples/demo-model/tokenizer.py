#!/usr/bin/env python3
"""Byte-level BPE with the qwen2 pre-tokenizer and a vocabulary of 1,024, made for the price desk.

Rules that make copying easy and keep ids independent of how a prompt is cut into strings:
- a space, a quote or a line break never merges with letters, so a name has the same tokens
  everywhere; the exception are whole words of the fixed texts (" total"), merged last;
- a line break merges with nothing; punctuation merges are the five of JSON in `MARKS`.

  python3 tokenizer.py --write tokenizer.json     deterministic; ids are in the order of the list

Exact for ASCII, which is all the family uses: `re` has no Unicode classes, so letters and
numbers outside ASCII are approximated.
"""

import argparse
import json
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path

import family

VOCABULARY = 1024
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
USER_DEFINED = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>",
                "</think>"]
MARKS = [' "', '",', '":', '{"', '"}']

PIECES = re.compile(r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\w]?[^\W\d_]+|_[^\W\d_]+|\d"""
                    r"""| ?(?:[^\s\w]|_)+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""")


def byte_characters() -> list:
    """The printable stand-in of each byte in vocabulary strings."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in kept]
    return [chr(byte) if byte in kept else chr(256 + others.index(byte)) for byte in range(256)]


CHARACTERS = byte_characters()


def stand_in(text: str) -> str:
    return "".join(CHARACTERS[byte] for byte in text.encode("utf-8"))


class Tokenizer:
    """tokens: id -> string in stand-in form; merges: pairs by rank."""

    def __init__(self, tokens: list, merges: list):
        self.tokens, self.merges = tokens, merges
        self.ids = {token: i for i, token in enumerate(tokens)}
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.added = CONTROL + USER_DEFINED
        self.cut = re.compile("(" + "|".join(map(re.escape, self.added)) + ")")
        self.bytes = {character: byte for byte, character in enumerate(CHARACTERS)}
        self.piece_ids = lru_cache(maxsize=100_000)(self._piece_ids)

    def _piece_ids(self, piece: str) -> tuple:
        return tuple(self.ids[part] for part in merge(list(stand_in(piece)), self.ranks))

    def encode(self, text: str) -> list:
        ids = []
        for part in self.cut.split(text):
            if part in self.ids and part in self.added:
                ids.append(self.ids[part])
            else:
                for piece in PIECES.findall(part):
                    ids.extend(self.piece_ids(piece))
        return ids

    def decode(self, ids) -> str:
        data = bytearray()
        for i in ids:
            token = self.tokens[i]
            data += (token.encode() if token in self.added
                     else bytes(self.bytes[character] for character in token))
        return data.decode("utf-8", errors="replace")

    def id_of(self, added: str) -> int:
        return self.ids[added]

    def types(self) -> list:
        """GGUF token types: 1 normal, 3 control, 4 user-defined."""
        kinds = {**dict.fromkeys(CONTROL, 3), **dict.fromkeys(USER_DEFINED, 4)}
        return [kinds.get(token, 1) for token in self.tokens]


def merge(parts: list, ranks: dict) -> list:
    """Repeatedly joins the adjacent pair of lowest rank."""
    while len(parts) > 1:
        rank, at = min((ranks.get(pair, len(ranks)), i)
                       for i, pair in enumerate(zip(parts, parts[1:])))
        if rank == len(ranks):
            break
        parts[at:at + 2] = [parts[at] + parts[at + 1]]
    return parts


def corpus(runs: int) -> tuple:
    """Counts of letter words, and of words that directly follow a space, over generated runs."""
    words, spaced = Counter(), Counter()

    def act(view, tool):
        turn = family.oracle(view, tool)
        text = "".join(part for part, _ in family.segments(view, turn))
        words.update(re.findall(r"[A-Za-z]+", text))
        spaced.update(re.findall(r" ([A-Za-z]+)", text))
        return turn

    for seed in range(runs):
        family.play(family.make_order(f"vocabulary/{seed}"), act)
    return words, spaced


def fixed_words() -> set:
    """Words of the texts that never change, plus those of the task frames."""
    texts = [json.dumps(family.DESK), *family.FRAMES, *family.DISTRACTORS,
             "Delivery Voucher and x mine approved wrong is me Role Memory Goal Reports Tools"]
    return set(re.findall(r"[A-Za-z]+", " ".join(texts)))


def learn_words(words: Counter, count: int) -> list:
    """Plain BPE over letter words: `count` merges, ties by text."""
    parts = {word: list(word) for word in words}
    merges = []
    while len(merges) < count:
        pairs = Counter()
        for word, pieces in parts.items():
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for word, pieces in parts.items():
            if best[0] in pieces:
                parts[word] = merge(pieces, {best: 0})
    return merges


def build(runs: int = 1500) -> Tokenizer:
    words, spaced = corpus(runs)
    fixed = fixed_words()
    spaced_fixed = sorted(word for word in fixed if spaced[word] >= runs // 50)
    room = VOCABULARY - 256 - len(CONTROL) - len(USER_DEFINED) - len(MARKS) - len(spaced_fixed)
    # A name should be as short as a fixed word: both weigh by the root of their count.
    flat = Counter({word: max(1, round(n ** 0.5 * (20 if word in fixed else 1)))
                    for word, n in words.items()})
    merges = learn_words(flat, room)
    merges += [tuple(map(stand_in, mark)) for mark in MARKS]
    merges += [(CHARACTERS[32], word) for word in spaced_fixed]
    tokens = [*CHARACTERS, *(a + b for a, b in merges), *CONTROL, *USER_DEFINED]
    missing = [word for word in spaced_fixed if word not in tokens]
    if missing or len(set(tokens)) != VOCABULARY:
        raise SystemExit(f"{len(set(tokens))} tokens; not single tokens: {missing}")
    return Tokenizer(tokens, merges)


def load(path=Path(__file__).resolve().parent / "tokenizer.json") -> Tokenizer:
    data = json.loads(Path(path).read_text(encoding="utf-8"))
    return Tokenizer(data["tokens"], [tuple(pair.split(" ")) for pair in data["merges"]])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", default="tokenizer.json")
    options = parser.parse_args()
    tokenizer = build()
    lines = {"tokens": tokenizer.tokens, "merges": [" ".join(pair) for pair in tokenizer.merges]}
    Path(options.write).write_text(json.dumps(lines, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(tokenizer.tokens)} tokens, {len(tokenizer.merges)} merges -> {options.write}")


if __name__ == "__main__":
    main()
