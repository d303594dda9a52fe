#!/usr/bin/env python3
"""Takes turns with llama.cpp on one GGUF file: same tokens, same threads, one run.

Run by hand: compare_llama.py FILE.gguf --llama FOLDER [--ours build/release/bench_forward]
[--threads 2] [--rounds 5] [--logits "build/release/swarm"].
FOLDER holds the shared libraries of the npm package @node-llama-cpp/linux-x64 (3.22.1, llama.cpp
"v0.5.0"); reference/engine.md section 18.1. The parameter structs are taken from that build's own
*_default_params(); the offsets touched below were read off those defaults.
Prints one JSON line per test: median seconds of both and the ratio theirs / ours (above 1: we are
faster). With --logits also compares the logits of 24 tokens.
"""

import argparse
import ctypes as C
import json
import statistics
import subprocess
import time


class Params(C.Structure):
    _fields_ = [("word", C.c_int32 * 64)]      # larger than any parameter struct of this build


class Batch(C.Structure):
    _fields_ = [("n", C.c_int32), ("token", C.c_void_p), ("embd", C.c_void_p),
                ("pos", C.c_void_p), ("n_seq", C.c_void_p), ("seq", C.c_void_p),
                ("logits", C.c_void_p)]


class Llama:
    """A model and a context of llama.cpp, driven through its C functions."""

    def __init__(self, folder, path, threads, context, f32_kv=False):
        load = lambda name: C.CDLL(f"{folder}/{name}", mode=C.RTLD_GLOBAL)
        load("libggml-base.so")
        ggml = load("libggml.v0.5.0.so")
        ggml.ggml_backend_load_all_from_path(folder.encode())
        self.lib = lib = load("libllama.v0.5.0.so")
        quiet = C.CFUNCTYPE(None, C.c_int, C.c_char_p, C.c_void_p)(lambda *_: None)
        self.keep = [quiet]
        lib.llama_log_set(quiet, None)
        lib.llama_backend_init()
        for f in (lib.llama_model_default_params, lib.llama_context_default_params):
            f.restype = Params
        lib.llama_model_load_from_file.restype = C.c_void_p
        lib.llama_model_load_from_file.argtypes = [C.c_char_p, Params]
        lib.llama_init_from_model.restype = C.c_void_p
        lib.llama_init_from_model.argtypes = [C.c_void_p, Params]
        lib.llama_get_memory.restype = C.c_void_p
        lib.llama_get_memory.argtypes = [C.c_void_p]
        lib.llama_memory_clear.argtypes = [C.c_void_p, C.c_bool]
        lib.llama_memory_seq_rm.argtypes = [C.c_void_p, C.c_int32, C.c_int32, C.c_int32]
        lib.llama_decode.argtypes = [C.c_void_p, Batch]
        lib.llama_get_logits_ith.restype = C.POINTER(C.c_float)
        lib.llama_get_logits_ith.argtypes = [C.c_void_p, C.c_int32]
        model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
        assert model, "llama.cpp cannot load the file"
        params = lib.llama_context_default_params()
        w = params.word
        assert list(w[:4]) == [512, 2048, 512, 1] and list(w[7:9]) == [4, 4] and \
            list(w[26:28]) == [1, 1], "another build: offsets unknown"
        w[0], w[7], w[8] = context, threads, threads
        if f32_kv:
            w[26] = w[27] = 0
            w[13] = 0                          # flash attention rounds to f16 on the way
        self.ctx = lib.llama_init_from_model(model, params)
        assert self.ctx

    def decode(self, tokens, first, all_logits=False):
        n = len(tokens)
        token, pos = (C.c_int32 * n)(*tokens), (C.c_int32 * n)(*range(first, first + n))
        one, count = (C.c_int32 * 1)(0), (C.c_int32 * n)(*([1] * n))
        seq = (C.c_void_p * n)(*([C.addressof(one)] * n))
        wanted = (C.c_int8 * n)(*([1 if all_logits or i + 1 == n else 0 for i in range(n)]))
        at = lambda array: C.cast(array, C.c_void_p)
        rc = self.lib.llama_decode(self.ctx, Batch(n, at(token), None, at(pos), at(count),
                                                   at(seq), at(wanted)))
        assert rc == 0, rc

    def logits(self, row, vocab):
        return self.lib.llama_get_logits_ith(self.ctx, row)[:vocab]

    def forget(self, position=0):
        self.lib.llama_memory_seq_rm(self.lib.llama_get_memory(self.ctx), 0, position, -1)


class Ours:
    def __init__(self, program, path, threads):
        self.process = subprocess.Popen([program, path, str(threads)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.about = json.loads(self.process.stdout.readline())

    def run(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["seconds"]


def compare_speed(args, llama, ours, vocab):
    token = lambda i: (i * 7919 + 13) % vocab

    def their_prefill(n):
        llama.forget()
        begin = time.perf_counter()
        llama.decode([token(i) for i in range(n)], 0)
        llama.logits(-1, 1)
        return time.perf_counter() - begin

    def their_decode(n, at):
        llama.forget(at)
        begin = time.perf_counter()
        for i in range(n):
            llama.decode([token(at + i)], at + i)
            llama.logits(-1, 1)
        return time.perf_counter() - begin

    for name, count, a, b in [
            (f"pp{args.prefill}", args.prefill, lambda: ours.run(f"prefill {args.prefill}"),
             lambda: their_prefill(args.prefill)),
            (f"tg{args.decode}", args.decode, lambda: ours.run(f"decode {args.decode} 64"),
             lambda: their_decode(args.decode, 64))]:
        their_prefill(64)
        ours.run("prefill 64")
        a(), b()
        pairs = [(a(), b()) for _ in range(args.rounds)]
        mine, theirs = (statistics.median(p[i] for p in pairs) for i in (0, 1))
        ratio = statistics.median(p[1] / p[0] for p in pairs)
        print(json.dumps({"test": name, "ours_tok_s": round(count / mine, 1),
                          "llama_tok_s": round(count / theirs, 1),
                          "median_ratio": round(ratio, 3),
                          "ratios": [round(p[1] / p[0], 2) for p in pairs]}), flush=True)


def compare_logits(args, vocab):
    llama = Llama(args.llama, args.file, args.threads, 128, f32_kv=True)
    tokens = [(i * 7919 + 13) % vocab for i in range(24)]
    llama.decode(tokens, 0, all_logits=True)
    theirs = [llama.logits(i, vocab) for i in range(len(tokens))]
    for isa in args.isa.split(","):
        text = subprocess.run([args.logits, "logits", "--model", args.file, "--all", "--json",
                               "--kv", "f32", "--isa", isa, "--tokens",
                               ",".join(map(str, tokens))],
                              check=True, capture_output=True, text=True).stdout
        ours = json.loads(text)["logits"]
        worst = max(abs(x - y) for a, b in zip(ours, theirs) for x, y in zip(a, b))
        spread = statistics.pstdev([x for row in theirs for x in row])
        top1 = sum(max(range(vocab), key=a.__getitem__) == max(range(vocab), key=b.__getitem__)
                   for a, b in zip(ours, theirs))
        print(json.dumps({"isa": isa, "max_abs_difference": worst, "logit_std": round(spread, 3),
                          "top1": f"{top1}/{len(tokens)}"}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file")
    parser.add_argument("--llama", required=True)
    parser.add_argument("--ours", default="build/release/bench_forward")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=32)
    parser.add_argument("--vocab", type=int, required=True)
    parser.add_argument("--logits", help="the swarm program: compare logits instead of speed")
    parser.add_argument("--isa", default="auto,avx2,reference")
    args = parser.parse_args()
    if args.logits:
        compare_logits(args, args.vocab)
        return
    ours = Ours(args.ours, args.file, args.threads)
    print(json.dumps(ours.about))
    compare_speed(args, Llama(args.llama, args.file, args.threads, 2048), ours, args.vocab)


if __name__ == "__main__":
    main()
