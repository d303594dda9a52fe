#!/usr/bin/env python3
"""Writes the GGUF corpus of tests/fuzz/gguf_fuzz.cpp with the `gguf` Python package (0.19).

Usage: make_gguf_corpus.py tests/fuzz/corpus/gguf
good-*: tiny models that must be accepted; the others break one rule each and must be refused.
"""
import sys

import gguf
import numpy as np

HIDDEN, HEADS, KV, DIM, FFN, EXPERTS, VOCAB = 32, 2, 1, 32, 32, 3, 12


def model(path, arch, tied=False, change=None):
    rng = np.random.default_rng(1)
    w = gguf.GGUFWriter(path, arch)
    keys = {"block_count": 1, "context_length": 64, "embedding_length": HIDDEN,
            "feed_forward_length": FFN, "attention.head_count": HEADS,
            "attention.head_count_kv": KV, "attention.key_length": DIM,
            "attention.value_length": DIM}
    if arch == "qwen3moe":
        keys |= {"expert_count": EXPERTS, "expert_used_count": 2,
                 "expert_feed_forward_length": FFN}
    keys |= {k: v for k, v in (change or {}).items() if k != "tensor"}
    for key, value in keys.items():
        w.add_uint32(f"{arch}.{key}", value)
    w.add_float32(f"{arch}.attention.layer_norm_rms_epsilon", 1e-6)
    w.add_float32(f"{arch}.rope.freq_base", 1e6)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list([chr(97 + i) for i in range(VOCAB)])
    w.add_token_types([1] * VOCAB)
    w.add_token_merges([])

    def add(name, shape, kind=None):
        values = rng.normal(size=shape).astype(np.float32)
        if kind is None:
            w.add_tensor(name + ".weight", values)
        else:
            w.add_tensor(name + ".weight", gguf.quants.quantize(values, kind), raw_dtype=kind)

    q8, q4 = gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_0
    add("token_embd", (VOCAB, HIDDEN), q8)
    add("output_norm", (HIDDEN,))
    if not tied:
        add("output", (VOCAB, HIDDEN), gguf.GGMLQuantizationType.F16)
    b = "blk.0."
    add(b + "attn_norm", (HIDDEN,))
    add(b + "ffn_norm", (HIDDEN,))
    add(b + "attn_q_norm", (DIM,))
    add(b + "attn_k_norm", (DIM,))
    add(b + "attn_q", (HEADS * DIM, HIDDEN), q8)
    add(b + "attn_k", (KV * DIM, HIDDEN), q4)
    add(b + "attn_v", (KV * DIM, HIDDEN), q4)
    add(b + "attn_output", (HIDDEN, HEADS * DIM), q8)
    if arch == "qwen3moe":
        add(b + "ffn_gate_inp", (EXPERTS, HIDDEN))
        for part in ("gate", "up", "down"):
            add(b + f"ffn_{part}_exps", (EXPERTS, FFN, HIDDEN), q4)
    else:
        for part in ("gate", "up", "down"):
            add(b + f"ffn_{part}", (FFN, HIDDEN), q8)
    if change and "tensor" in change:
        add(change["tensor"], (HIDDEN,))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    out = sys.argv[1] + "/"
    model(out + "good-qwen3moe.gguf", "qwen3moe")
    model(out + "good-qwen3-tied.gguf", "qwen3", tied=True)
    model(out + "bad-heads.gguf", "qwen3", change={"attention.head_count": 3})
    model(out + "bad-extra-tensor.gguf", "qwen3", change={"tensor": "blk.0.attn_q_bias"})
    data = open(out + "good-qwen3-tied.gguf", "rb").read()
    open(out + "bad-truncated.gguf", "wb").write(data[:-2000])
    open(out + "bad-count.gguf", "wb").write(data[:8] + b"\xff" * 8 + data[16:200])


if __name__ == "__main__":
    main()
