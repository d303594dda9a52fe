#!/usr/bin/env python3
"""Logits of llama.cpp for quantised mixtures of experts: llama_moe_logits.gguf.

Run by hand (needs gguf, numpy): make_llama_golden.py --llama FOLDER --swarm build/release/swarm
FOLDER: see tests/bench/compare_llama.py, whose binding is used; f32 K and V, no flash
attention. The models are synth:qwen3moe-tiny:TYPE, whose bytes are the same everywhere, with every
expert at work: expert_used_count is 6 of 6, so that no choice of experts can flip on a near tie and
what is left is the arithmetic. Tensor TYPE: the logits of the positions in "positions", in F16
(2^-11 relative, far below what is compared).
"""

import argparse
import pathlib
import struct
import subprocess
import sys
import tempfile

import gguf
import numpy as np

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent.parent / "bench"))
from compare_llama import Llama  # noqa: E402

TYPES = ["Q4_0", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "Q4_K_M", "Q5_K_M"]
VOCAB, EXPERTS = 288, 6
TOKENS = [(i * 7919 + 13) % VOCAB for i in range(24)]
POSITIONS = [0, 11, 23]


def use_all_experts(path):
    data = bytearray(path.read_bytes())
    key = b"qwen3moe.expert_used_count"
    at = data.index(key) + len(key)
    assert struct.unpack_from("<II", data, at) == (4, 2), "expected a u32 of 2"
    struct.pack_into("<I", data, at + 4, EXPERTS)
    path.write_bytes(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--llama", required=True)
    parser.add_argument("--swarm", required=True)
    args = parser.parse_args()
    writer = gguf.GGUFWriter(HERE / "llama_moe_logits.gguf", "golden")
    writer.add_array("tokens", TOKENS)
    writer.add_array("positions", POSITIONS)
    writer.add_array("types", TYPES)
    with tempfile.TemporaryDirectory() as folder:
        for kind in TYPES:
            path = pathlib.Path(folder) / f"{kind}.gguf"
            subprocess.run([args.swarm, "model", "synth", str(path), "--preset", "qwen3moe-tiny",
                            "--type", kind], check=True, stdout=subprocess.DEVNULL)
            use_all_experts(path)
            llama = Llama(args.llama, str(path), 1, 128, f32_kv=True)
            llama.decode(TOKENS, 0, all_logits=True)
            rows = np.array([llama.logits(i, VOCAB) for i in POSITIONS], dtype=np.float32)
            print(kind, "logit std", rows.std())
            writer.add_tensor(kind, rows.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
