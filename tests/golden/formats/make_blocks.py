#!/usr/bin/env python3
"""Writes blocks.gguf and quantizers.gguf: what other implementations decode and encode.

Usage: make_blocks.py LIBGGML_BASE OUT_FOLDER
  LIBGGML_BASE: libggml-base.so of the npm package @node-llama-cpp/linux-x64 (3.22.1, llama.cpp
  v0.5.0), called through ctypes for quantizers and for types the `gguf` package does not decode.

blocks.gguf (written by the `gguf` package): per type T two tensors, T.blocks (random blocks as I8)
and T.values (the decoded F32); `block_sizes` = [id, elements, bytes, ...]; `codebook.NAME` = FNV-1a
of the expanded lattice codebook. quantizers.gguf: inputs, codes of the simple quantizers (bits),
and `rmse.T` of the K and IQ quantizers on the tensor `k_input` (F16, one kind of data per row).
"""
import ctypes
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import quants

SEED = 20261121
# Offsets of f16 fields inside a block: they get finite, moderate values.
HALVES = {
    "F16": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ1_S": [0], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0],
    "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64], "Q1_0": [0], "Q2_0": [0],
}
SIZES = {t.name: gguf.GGML_QUANT_SIZES[t] for t in Type if t.name != "Q8_1"}
SIZES["Q2_0"] = (64, 18)
IDS = {t.name: int(t) for t in Type} | {"Q2_0": 42}
DECODED_BY_GGUF = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K",
                   "Q5_K", "Q6_K", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS",
                   "IQ3_S", "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0", "MXFP4", "NVFP4"]
DECODED_BY_GGML = ["Q8_K", "Q1_0", "Q2_0"]


# Quantizers that search: only their error is compared.
SEARCHED = ["Q2_K", "Q3_K", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS"]


def random_blocks(rng, name):
    elements, size = SIZES[name]
    count = max(2, min(8, 512 // elements)) if elements > 1 else 256
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for offset in HALVES.get(name, []):
        scale = (rng.uniform(0.001, 2.0, count) * rng.choice([-1, 1], count)).astype(np.float16)
        blocks[:, offset:offset + 2] = scale.view(np.uint8).reshape(count, 2)
    if name == "BF16":
        blocks = (rng.normal(size=count).astype(np.float32).view(np.uint32) >> 16)
        blocks = blocks.astype(np.uint16).view(np.uint8).reshape(count, 2)
    if name == "IQ1_M":  # the top nibble of the last scale byte is the top of d: exponent < 31
        blocks[:, 55] &= 0xBF
    if name == "MXFP4":
        blocks[:, 0] = rng.integers(100, 150, count)
    if name == "NVFP4":
        blocks[:, :4] &= 0x7F
    if name == "Q8_K":
        blocks[:, :4] = rng.normal(size=count).astype(np.float32).view(np.uint8).reshape(count, 4)
    return blocks


def ggml_decode(ggml, name, blocks):
    elements, _ = SIZES[name]
    out = np.zeros(len(blocks) * elements, np.float32)
    function = getattr(ggml, "dequantize_row_" + name.replace("_K", "_k").lower().replace("_k", "_K"))
    raw = np.ascontiguousarray(blocks)
    function(raw.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p),
             ctypes.c_int64(out.size))
    return out


def fnv1a(data):
    value = 14695981039346656037
    for byte in data:
        value = ((value ^ byte) * 1099511628211) & (2**64 - 1)
    return value


def write_blocks(ggml, path):
    rng = np.random.default_rng(SEED)
    writer = gguf.GGUFWriter(path, "golden")
    sizes = [n for name in SIZES for n in (IDS[name], *SIZES[name])]
    writer.add_array("block_sizes", sizes)
    for kind in ["IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S"]:
        quant = getattr(quants, kind)
        quant.init_grid()
        points = np.asarray(quant.grid).reshape(quant.grid_shape).astype(np.int8)
        writer.add_uint64("codebook." + kind, fnv1a(points.tobytes()))
    for name in DECODED_BY_GGUF + DECODED_BY_GGML:
        blocks = random_blocks(rng, name)
        if name in DECODED_BY_GGUF:
            values = quants.dequantize(blocks, Type[name]).astype(np.float32).reshape(-1)
        else:
            values = ggml_decode(ggml, name, blocks)
        if not np.isfinite(values).all():
            raise SystemExit(f"{name}: values are not finite")
        writer.add_tensor(name + ".blocks", blocks.reshape(-1).view(np.int8))
        writer.add_tensor(name + ".values", values)
    finish(writer)


def ggml_encode(ggml, name, values):
    elements, size = SIZES.get(name, (32, 36))
    out = np.zeros(values.size // elements * size, np.uint8)
    values = np.ascontiguousarray(values, np.float32)
    suffix = name.lower().replace("_k", "_K")
    getattr(ggml, f"quantize_row_{suffix}_ref")(
        values.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_int64(values.size))
    return out


def simple_input(rng):
    """Blocks of 256: bell, wide, constant, zero, one spike, ties of the extreme, tiny, one sign."""
    rows = [rng.normal(size=256), rng.normal(size=256) * 1000, np.full(256, 0.75), np.zeros(256),
            np.eye(1, 256, 37)[0] * -3, np.tile([2.0, -2.0, 1.0, -1.0], 64),
            rng.normal(size=256) * 1e-6, np.abs(rng.normal(size=256)) + 1]
    return np.concatenate(rows).astype(np.float32)


def k_input(rng):
    """Rows of 4096: bell, heavy tails, uniform, shifted, sparse."""
    bell = rng.normal(size=4096) * 0.02
    heavy = rng.standard_t(3, size=4096) * 0.02
    uniform = rng.uniform(-0.1, 0.1, 4096)
    shifted = rng.normal(size=4096) * 0.02 + 0.05
    sparse = rng.normal(size=4096) * (rng.random(4096) < 0.1)
    return np.stack([bell, heavy, uniform, shifted, sparse]).astype(np.float16)


def write_quantizers(ggml, path):
    rng = np.random.default_rng(SEED + 1)
    writer = gguf.GGUFWriter(path, "golden")
    values = simple_input(rng)
    writer.add_tensor("input", values)
    halves = np.concatenate([values, [65504, 65519.99, 65520, 1e9, -np.inf, 6e-8, 3e-8, 2.99e-8,
                                      5.9e-8, 6.1e-5, 1 + 2**-11, 1 + 3 * 2**-11, 2**-24 * 1.5]])
    halves = halves.astype(np.float32)
    with np.errstate(over="ignore"):
        writer.add_tensor("F16.input", halves)
        writer.add_tensor("F16.codes", halves.astype(np.float16).view(np.int8))
    writer.add_tensor("BF16.codes", quants.quantize(values, Type.BF16).reshape(-1).view(np.int8))
    for name in ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_1", "Q8_K", "MXFP4"]:
        codes = ggml_encode(ggml, name, values)
        if name in ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"):
            other = quants.quantize(values, Type[name]).reshape(-1)
            if not np.array_equal(codes, other):
                print(f"{name}: the two oracles differ in {np.sum(codes != other)} bytes")
        writer.add_tensor(name + ".codes", codes.view(np.int8))
    inputs = k_input(rng)
    writer.add_tensor("k_input", inputs)
    for name in ["Q4_K", "Q5_K", "Q6_K"]:
        rmse = []
        for row in inputs.astype(np.float32):
            blocks = ggml_encode(ggml, name, row).reshape(-1, SIZES[name][1])
            decoded = quants.dequantize(blocks, Type[name]).reshape(-1)
            rmse.append(float(np.sqrt(np.mean((decoded - row).astype(np.float64) ** 2))))
        print(name, rmse)
        writer.add_array("rmse." + name, rmse)
    for name in SEARCHED:
        rmse = [searched_rmse(ggml, name, row) for row in inputs.astype(np.float32)]
        print(name, rmse)
        writer.add_array("rmse." + name, rmse)
    finish(writer)


def searched_rmse(ggml, name, row):
    """Through ggml_quantize_chunk, with an importance matrix of ones where one is mandatory."""
    elements, size = SIZES[name]
    out = np.zeros(row.size // elements * size, np.uint8)
    ones = np.ones(row.size, np.float32)
    pointer = lambda array: array.ctypes.data_as(ctypes.c_void_p)
    ggml.ggml_quantize_chunk(
        ctypes.c_int(IDS[name]), pointer(row), pointer(out), ctypes.c_int64(0), ctypes.c_int64(1),
        ctypes.c_int64(row.size), pointer(ones))
    decoded = quants.dequantize(out.reshape(-1, size), Type[name]).reshape(-1)
    return float(np.sqrt(np.mean((decoded - row).astype(np.float64) ** 2)))


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    ggml = ctypes.CDLL(sys.argv[1])
    for function in [n for n in dir(ggml) if n.startswith("quantize_row")]:
        getattr(ggml, function).restype = None
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    write_blocks(ggml, sys.argv[2] + "/blocks.gguf")
    write_quantizers(ggml, sys.argv[2] + "/quantizers.gguf")


if __name__ == "__main__":
    main()
