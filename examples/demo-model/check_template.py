#!/usr/bin/env python3
"""Checks chat_template.jinja against hand-written strings and against family.segments.

Needs jinja2. Options are those of Hugging Face: trim_blocks, lstrip_blocks, plain `tojson`.
"""

import json
from pathlib import Path

import jinja2

import family

HERE = Path(__file__).resolve().parent


def load_template():
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string((HERE / "chat_template.jinja").read_text(encoding="utf-8"))


def tool(name, *parameters):
    properties = {parameter: {"type": "string"} for parameter in parameters}
    return {"type": "function", "function": {"name": name, "description": "d", "parameters": {
        "type": "object", "properties": properties}}}


def call(name, **arguments):
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


HAND_WRITTEN = [
    # No tools: nothing is appended; no system message is invented.
    ([{"role": "user", "content": "Hi"}], None, True,
     "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"),
    ([{"role": "system", "content": "S"}, {"role": "user", "content": "U"}], [], False,
     "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"),
    # Signatures; two calls in a turn; results share one user message.
    ([{"role": "system", "content": "S"}, {"role": "user", "content": "U"},
      {"role": "assistant", "content": "", "tool_calls": [call("f", a="x"), call("g")]},
      {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"},
      {"role": "assistant", "content": "done"}],
     [tool("f", "a", "b"), tool("g")], True,
     "<|im_start|>system\nS\nTools: f(a, b), g()<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
     '<|im_start|>assistant\n<tool_call>\n{"name": "f", "arguments": {"a": "x"}}\n</tool_call>\n'
     '<tool_call>\n{"name": "g", "arguments": {}}\n</tool_call><|im_end|>\n'
     "<|im_start|>user\n<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>"
     "<|im_end|>\n<|im_start|>assistant\ndone<|im_end|>\n<|im_start|>assistant\n"),
    # Content before a call; arguments that already are a string; a flat call without "function".
    ([{"role": "assistant", "content": "c",
       "tool_calls": [{"name": "f", "arguments": '{"a": 1}'}]}], None, False,
     '<|im_start|>assistant\nc\n<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
     "<|im_end|>\n"),
]


def check_runs(template, runs: int) -> int:
    """Every turn of simulated runs renders as family.segments says."""
    turns = 0

    def act(view, run_tool):
        nonlocal turns
        turn = family.oracle(view, run_tool)
        parts = family.segments(view, turn)
        messages = [{"role": "system", "content": f"{family.DESK['protocol']}\nTask: {view.task}"},
                    {"role": "user", "content": view.user_text()}]
        tools = [tool(name, *family.DESK["parameters"][name]) for name in view.tools]
        prompts = [parts[0][0]]
        if turn.calls:
            calls = [call(name, **arguments) for name, arguments in turn.calls]
            messages.append({"role": "assistant", "content": "", "tool_calls": calls})
            messages += [{"role": "tool", "content": text} for text in turn.results]
            prompts.append("".join(text for text, _ in parts[:3]))
        text = template.render(messages=messages, tools=tools, add_generation_prompt=True)
        assert text == prompts[-1], (text, prompts[-1])
        turns += 1
        return turn

    for seed in range(runs):
        family.play(family.make_order(seed, held_out=True), act)
    return turns


def main():
    template = load_template()
    for messages, tools, generation, expected in HAND_WRITTEN:
        text = template.render(messages=messages, tools=tools, add_generation_prompt=generation)
        assert text == expected, f"\n{text!r}\n{expected!r}"
    turns = check_runs(template, 50)
    print(f"{len(HAND_WRITTEN)} hand-written cases and {turns} turns of the family agree")


if __name__ == "__main__":
    main()
