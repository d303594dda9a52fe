#!/usr/bin/env python3
"""Writes kv_attention.gguf: causal attention over K and V that the `gguf` package has quantised.

Usage: make_kv_attention.py OUT_FOLDER
Per head size D (names begin with hdD.): q [TOKENS, HEADS, D], k and v [POSITIONS, KV_HEADS, D];
k.T and v.T: the bytes of the `gguf` package's blocks of type T (q8_0, q4_0); out.KT.VT: the
attention of the last TOKENS positions in float64 numpy, K and V replaced by what KT and VT keep of
them (gguf 0.18 quants.quantize, then quants.dequantize), scale 1 / sqrt(D).
"""
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import quants

SEED, POSITIONS, TOKENS, HEADS, KV_HEADS = 20261121, 21, 2, 2, 1
PAIRS = [("f32", "f32"), ("f16", "f16"), ("bf16", "bf16"), ("q8_0", "q8_0"), ("q4_0", "q4_0"),
         ("q8_0", "q4_0"), ("q4_0", "q8_0"), ("f16", "q4_0"), ("bf16", "q8_0"), ("q8_0", "f32")]


def kept(values, kind):
    if kind == "f32":
        return values.astype(np.float64)
    rows = values.reshape(-1, values.shape[-1])
    blocks = quants.quantize(rows, Type[kind.upper()])
    return quants.dequantize(blocks, Type[kind.upper()]).astype(np.float64).reshape(values.shape)


def attention(q, k, v):
    out = np.zeros(q.shape)
    for t in range(TOKENS):
        visible = POSITIONS - TOKENS + t + 1
        for h in range(HEADS):
            head = h // (HEADS // KV_HEADS)
            scores = k[:visible, head] @ q[t, h] / np.sqrt(q.shape[-1])
            weights = np.exp(scores - scores.max())
            out[t, h] = weights @ v[:visible, head] / weights.sum()
    return out.astype(np.float32)


def main():
    rng = np.random.default_rng(SEED)
    writer = gguf.GGUFWriter(sys.argv[1] + "/kv_attention.gguf", "golden")
    writer.add_array("shape", [POSITIONS, TOKENS, HEADS, KV_HEADS])
    writer.add_array("pairs", [name for pair in PAIRS for name in pair])
    for head_dim in (64, 128):
        def make(rows, heads):
            spread = rng.uniform(0.3, 3.0, (rows, heads, 1))  # a different scale per row
            return (rng.normal(size=(rows, heads, head_dim)) * spread).astype(np.float16)
        q, k, v = make(TOKENS, HEADS), make(POSITIONS, KV_HEADS), make(POSITIONS, KV_HEADS)
        k[5, 0, :32] = 0  # a group without any value
        v[6, 0, 32:64] = 0
        prefix = f"hd{head_dim}."
        for name, values in (("q", q), ("k", k), ("v", v)):
            writer.add_tensor(prefix + name, values)  # f16: exact and half the size
        k, v = k.astype(np.float32), v.astype(np.float32)
        for name, values in (("k", k), ("v", v)):
            for kind in ("q8_0", "q4_0"):
                blocks = quants.quantize(values.reshape(-1, head_dim), Type[kind.upper()])
                writer.add_tensor(f"{prefix}{name}.{kind}", blocks.reshape(-1).view(np.int8))
        for k_type, v_type in PAIRS:
            writer.add_tensor(f"{prefix}out.{k_type}.{v_type}",
                              attention(q.astype(np.float64), kept(k, k_type), kept(v, v_type)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
