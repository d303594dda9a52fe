#!/usr/bin/env python3
"""Judges (schema, text) pairs with Python's jsonschema, a validator nobody here wrote.

  SWARM_GRAMMAR_DUMP=pairs.jsonl build/release/test_grammar
  python3 tests/golden/grammar/judge_pairs.py pairs.jsonl             # every pair must be valid
  python3 tests/golden/grammar/judge_pairs.py pairs.jsonl --golden tests/golden/grammar/judged_pairs.jsonl

--golden also mutates texts (seed 7), judges those, and keeps a sample for the C++ test.
Needs jsonschema and rfc3339-validator (for date-time and time); made with jsonschema 4, Draft 7.
"""
import argparse
import json
import random

import jsonschema


def unique(pairs):
    seen = dict(pairs)
    if len(seen) != len(pairs):
        raise ValueError("duplicate key")
    return seen


def verdict(schema, text):
    try:
        value = json.loads(text, object_pairs_hook=unique)
    except ValueError as error:
        return f"not JSON: {error}"
    draft = jsonschema.Draft7Validator
    validator = draft(schema, format_checker=draft.FORMAT_CHECKER)
    error = jsonschema.exceptions.best_match(validator.iter_errors(value))
    return None if error is None else error.message


def mutate(value, rng):
    """One small change somewhere in the value."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        copy = dict(value)
        action = rng.random()
        if action < 0.3:
            del copy[key]
        elif action < 0.4:
            copy["extra"] = 1
        else:
            copy[key] = mutate(value[key], rng)
        return copy
    if isinstance(value, list) and value and rng.random() < 0.8:
        copy = list(value)
        index = rng.randrange(len(copy))
        action = rng.random()
        if action < 0.25:
            del copy[index]
        elif action < 0.5:
            copy.append(copy[index])
        else:
            copy[index] = mutate(copy[index], rng)
        return copy
    if isinstance(value, str) and rng.random() < 0.7:
        return rng.choice([value + "a", value[1:], value.upper(), value * 3, " " + value])
    if isinstance(value, (int, float)) and not isinstance(value, bool) and rng.random() < 0.7:
        return rng.choice([-value, value + 1, value * 1000, value - 1, value + 0.5, 0])
    return rng.choice([None, True, 0, -1, 10**6, 2.5, "", "text", [], {}, [None], {"a": 1}])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pairs")
    parser.add_argument("--golden")
    arguments = parser.parse_args()
    with open(arguments.pairs, encoding="utf-8") as lines:
        pairs = [json.loads(line) for line in lines]
    wrong = 0
    for pair in pairs:
        problem = verdict(pair["schema"], pair["text"])
        if problem is not None:
            wrong += 1
            print(json.dumps({**pair, "problem": problem}, ensure_ascii=False))
    print(f"{len(pairs)} pairs, {wrong} invalid")
    if arguments.golden:
        rng = random.Random(7)
        kept = []
        for pair in rng.sample(pairs, len(pairs)):
            if len(json.dumps(pair)) > 600:
                continue
            kept.append({**pair, "generated": True, "valid": verdict(pair["schema"], pair["text"]) is None})
            for _ in range(2):
                value = mutate(json.loads(pair["text"]), rng)
                text = json.dumps(value, ensure_ascii=False)
                valid = verdict(pair["schema"], text) is None
                kept.append({"schema": pair["schema"], "text": text, "generated": False, "valid": valid})
            if len(kept) >= 360:
                break
        with open(arguments.golden, "w", encoding="utf-8") as out:
            out.write("# judge_pairs.py, seed 7, jsonschema Draft 7; see there how to regenerate\n")
            for pair in kept:
                out.write(json.dumps(pair, ensure_ascii=False) + "\n")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
