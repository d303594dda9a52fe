#!/usr/bin/env python3
"""Logits of two of the tiny models with YaRN, below and above the context of the training.

Run by hand (needs torch, transformers, gguf); writes yarn-NAME.gguf beside itself: the metadata keys
that make the model of NAME.gguf a YaRN one, written by the gguf package, and the tensors `tokens`
(numbers as f32) and `logits` [tokens, vocab] of Hugging Face's forward pass, f32, eager attention.

transformers' `attention_factor` is the whole factor of cos and sin; that of a GGUF file multiplies
0.1 ln(factor) + 1 (reference/engine.md section 13), so the file holds the quotient.
"""

import math

import gguf
import numpy as np
import torch

import make_golden

# name, tokens, factor, original context, attention factor, beta_fast, beta_slow; None = not said.
# The first has pairs of all three kinds (kept, mixed, interpolated), the second its own bounds.
CASES = [
    ("moe-hd128", 360, 4.0, 320, None, None, None),
    ("dense-hd64", 80, 2.5, 32, 1.3, 16.0, 2.0),
]


def main():
    for name, count, factor, original, attention, fast, slow in CASES:
        seed, spec = next((i, s) for i, s in enumerate(make_golden.MODELS) if s[0] == name)
        optional = {"attention_factor": attention, "beta_fast": fast, "beta_slow": slow}
        yarn = {"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original,
                **{k: v for k, v in optional.items() if v is not None}}
        tokens = np.random.default_rng(100 + seed).integers(0, spec[9], count).astype(np.int32)
        logits = {}
        for kind, parameters in (("yarn", yarn), ("plain", None)):
            model = make_golden.build(spec, seed, parameters)
            with torch.no_grad():
                logits[kind] = model(torch.tensor(tokens.astype(np.int64))[None]).logits[0].numpy()
            rotary = model.model.rotary_emb
            print(name, kind, "factor", rotary.attention_scaling, "inv_freq",
                  rotary.inv_freq[[0, 5, -1]].tolist())
        change = np.abs(logits["yarn"] - logits["plain"]).max(axis=1)
        print(name, "change of logits below", change[:original].max(), "above",
              change[original:].max())
        assert np.isfinite(logits["yarn"]).all() and change.max() > 0.01

        out = gguf.GGUFWriter(make_golden.HERE / f"yarn-{name}.gguf",
                              "qwen3moe" if spec[7] else "qwen3")
        out.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        out.add_rope_scaling_factor(factor)
        out.add_rope_scaling_orig_ctx_len(original)
        if attention is not None:
            out.add_rope_scaling_attn_factors(attention / (0.1 * math.log(factor) + 1))
        if fast is not None:
            out.add_rope_scaling_yarn_beta_fast(fast)
            out.add_rope_scaling_yarn_beta_slow(slow)
        out.add_tensor("tokens", tokens.astype(np.float32))
        out.add_tensor("logits", np.ascontiguousarray(logits["yarn"], dtype=np.float32))
        out.write_header_to_file()
        out.write_kv_data_to_file()
        out.write_tensors_to_file()
        out.close()


if __name__ == "__main__":
    main()
