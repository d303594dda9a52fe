#!/usr/bin/env python3
"""Logits of the tiny models when K and V are kept in a smaller type: kv_logits.gguf.

Run by hand after make_golden.py (needs torch, transformers, gguf). Hugging Face's forward pass with
its attention replaced by one that sends K (after norm and RoPE) and V through quantize() and
dequantize() of the `gguf` package first. Tensor NAME.K.V: the logits of the last ROWS positions.
"""

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from gguf import quants
from transformers.models.qwen3 import modeling_qwen3
from transformers.models.qwen3_moe import modeling_qwen3_moe

import make_golden

ROWS = 12
NAMES = ["moe-hd32", "moe-hd64-tied", "moe-hd128", "dense-hd64"]
PAIRS = [("bf16", "bf16"), ("q8_0", "q8_0"), ("q4_0", "q4_0"), ("q8_0", "q4_0"), ("q4_0", "f16"),
         ("f32", "q8_0")]


def kept(values, kind):
    if kind == "f32":
        return values
    array = np.ascontiguousarray(values.numpy())
    rows = array.reshape(-1, array.shape[-1])
    decoded = quants.dequantize(quants.quantize(rows, Type[kind.upper()]), Type[kind.upper()])
    return torch.from_numpy(decoded.astype(np.float32).reshape(array.shape))


def attention_keeping(original, k_type, v_type):
    def attention(module, query, key, value, *args, **kwargs):
        return original(module, query, kept(key, k_type), kept(value, v_type), *args, **kwargs)
    return attention


def main():
    writer = gguf.GGUFWriter(make_golden.HERE / "kv_logits.gguf", "golden")
    writer.add_array("names", NAMES)
    writer.add_array("pairs", [name for pair in PAIRS for name in pair])
    originals = {m: m.eager_attention_forward for m in (modeling_qwen3, modeling_qwen3_moe)}
    for seed, spec in enumerate(make_golden.MODELS):
        name, vocab = spec[0], spec[9]
        if name not in NAMES:
            continue
        model = make_golden.build(spec, seed)
        tokens = np.random.default_rng(seed).integers(0, vocab, make_golden.TOKENS)
        plain = None
        for k_type, v_type in [("f32", "f32")] + PAIRS:
            for module, original in originals.items():
                module.eager_attention_forward = attention_keeping(original, k_type, v_type)
            with torch.no_grad():
                logits = model(torch.tensor(tokens.astype(np.int64))[None]).logits[0].numpy()
            if plain is None:
                plain = logits
                continue
            print(name, k_type, v_type, "largest change", np.abs(logits - plain).max())
            assert np.abs(logits - plain).max() > 0
            writer.add_tensor(f"{name}.{k_type}.{v_type}", np.ascontiguousarray(logits[-ROWS:]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
