#!/usr/bin/env python3
"""Loads a GGUF file that swarm wrote with two other readers and compares what they see.

Usage: check_written.py FILE [LIBGGML_BASE]
Run by hand after changes of the writer, e.g. on `swarm model synth FILE --preset qwen3moe-tiny
--type Q4_K_M`. Readers: GGUFReader of the `gguf` package, and gguf_* of libggml-base (npm package
@node-llama-cpp/linux-x64 3.22.1), which insists on contiguous offsets. Every tensor is decoded by
the `gguf` package and must have the spread of a synthetic model. Ends with "ok" or an exception.
"""
import ctypes
import sys

import gguf
import numpy as np


class InitParams(ctypes.Structure):
    _fields_ = [("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p)]


def check_with_ggml(path, reader, library):
    ggml = ctypes.CDLL(library)
    ggml.gguf_init_from_file.restype = ctypes.c_void_p
    ggml.gguf_init_from_file.argtypes = [ctypes.c_char_p, InitParams]
    ggml.gguf_get_tensor_name.restype = ctypes.c_char_p
    for name in ("gguf_get_n_tensors", "gguf_get_n_kv", "gguf_get_data_offset",
                 "gguf_get_tensor_offset", "gguf_get_tensor_size"):
        getattr(ggml, name).restype = ctypes.c_int64
    file = ggml.gguf_init_from_file(path.encode(), InitParams(True, None))
    assert file, "ggml refused the file"
    file = ctypes.c_void_p(file)
    assert ggml.gguf_get_n_tensors(file) == len(reader.tensors)
    start = ggml.gguf_get_data_offset(file)
    for i, tensor in enumerate(reader.tensors):
        index = ctypes.c_int64(i)
        assert ggml.gguf_get_tensor_name(file, index).decode() == tensor.name
        assert start + ggml.gguf_get_tensor_offset(file, index) == tensor.data_offset, tensor.name
        assert ggml.gguf_get_tensor_size(file, index) == tensor.n_bytes, tensor.name
        assert ggml.gguf_get_tensor_type(file, index) == int(tensor.tensor_type), tensor.name
    print(f"ggml: {len(reader.tensors)} tensors, {ggml.gguf_get_n_kv(file)} keys")


def main():
    reader = gguf.GGUFReader(sys.argv[1])
    counts = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert list(values.shape) == [int(n) for n in reversed(tensor.shape)], tensor.name
        assert np.isfinite(values).all(), tensor.name
        counts[tensor.tensor_type.name] = counts.get(tensor.tensor_type.name, 0) + 1
        if "norm" in tensor.name:
            assert abs(values.mean() - 1) < 0.05 and 0.05 < values.std() < 0.15, tensor.name
        else:
            row = int(tensor.shape[0])
            scale = 3 if tensor.name in ("token_embd.weight", "output.weight") else 1
            bound = 0.02 + 5 / values.size ** 0.5  # type, then five standard errors
            assert abs(values.std() * row ** 0.5 / scale - 1) < bound, (tensor.name, values.std())
            assert abs(values.mean()) < bound * values.std(), (tensor.name, values.mean())
    fields = [name for name in reader.fields if not name.startswith("GGUF.")]
    print(f"gguf: {len(reader.tensors)} tensors {counts}, {len(fields)} keys")
    if len(sys.argv) > 2:
        check_with_ggml(sys.argv[1], reader, sys.argv[2])
    print("ok")


if __name__ == "__main__":
    main()
