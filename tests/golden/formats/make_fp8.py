#!/usr/bin/env python3
"""Writes fp8.gguf: E4M3 numbers and a block-wise FP8 matrix as torch (2.13) reads and rounds them.

Usage: make_fp8.py OUT_FOLDER
decoded: the value of every code as torch.float8_e4m3fn (NaN written as 1000); input, input.codes:
floats up to 448 and their rounding by torch; matrix.codes [130, 256], matrix.scales [2, 2],
matrix.rows: row numbers; matrix.values: those rows as float(code) * scale of their 128 x 128.
"""
import sys

import gguf
import numpy as np
import torch


def main():
    rng = np.random.default_rng(20261121)
    writer = gguf.GGUFWriter(sys.argv[1] + "/fp8.gguf", "golden")
    every = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).float().numpy()
    writer.add_tensor("decoded", np.where(np.isnan(every), np.float32(1000), every))
    finite = np.sort(every[np.isfinite(every)])
    middles = ((finite[1:].astype(np.float64) + finite[:-1]) / 2).astype(np.float32)
    values = np.concatenate([
        finite, middles, np.nextafter(middles, np.float32(-1000)),
        np.nextafter(middles, np.float32(1000)),
        rng.uniform(-448, 448, 256).astype(np.float32),
        (rng.normal(size=256) * 0.02).astype(np.float32)])
    writer.add_tensor("input", values)
    codes = torch.from_numpy(values).to(torch.float8_e4m3fn).view(torch.uint8).numpy()
    writer.add_tensor("input.codes", codes.view(np.int8))

    weights = torch.from_numpy(rng.normal(size=(130, 256)).astype(np.float32) * 100)
    matrix = weights.to(torch.float8_e4m3fn)
    scales = torch.from_numpy(rng.uniform(1e-4, 1e-2, (2, 2)).astype(np.float32))
    spread = scales.repeat_interleave(128, 0)[:130].repeat_interleave(128, 1)
    decoded = (matrix.float() * spread).numpy()
    rows = [0, 1, 127, 128, 129]
    writer.add_array("matrix.rows", rows)
    writer.add_tensor("matrix.codes", matrix.view(torch.uint8).numpy().view(np.int8))
    writer.add_tensor("matrix.scales", scales.numpy())
    writer.add_tensor("matrix.values", np.ascontiguousarray(decoded[rows]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
