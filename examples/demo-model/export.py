#!/usr/bin/env python3
"""Writes demo-model.gguf from a checkpoint and checks what was written.

  python3 export.py checkpoints/final.pt --out demo-model.gguf
  python3 export.py --verify demo-model.gguf [--transformers]

Needs numpy, torch and the `gguf` package. Matrices become Q8_0, norms and router stay F32; the
head is tied, so there is no output.weight. `--verify` reads the file back, runs the forward pass
of model.py on the dequantised tensors and, with --transformers, compares its logits with those of
an independent implementation (Qwen3MoeForCausalLM in f32).
"""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
import torch

import family
import model
import tokenizer as bpe

HERE = Path(__file__).resolve().parent
ARCHITECTURE = "qwen3moe"


def tensors_of(weights) -> dict:
    """GGUF names -> f32 arrays; gate and up are taken apart."""
    arrays = {}
    for name, tensor in weights.items():
        array = tensor.float().numpy()
        if "ffn_gate_up_exps" in name:
            gate, up = np.split(array, 2, axis=1)
            arrays[name.replace("gate_up", "gate")] = np.ascontiguousarray(gate)
            arrays[name.replace("gate_up", "up")] = np.ascontiguousarray(up)
        else:
            arrays[name] = array
    return arrays


def weights_of(arrays) -> dict:
    """The inverse of `tensors_of`."""
    weights = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    for layer in range(model.LAYERS):
        p = f"blk.{layer}.ffn_"
        pair = [weights.pop(f"{p}{part}_exps.weight") for part in ("gate", "up")]
        weights[f"{p}gate_up_exps.weight"] = torch.cat(pair, dim=1)
    return weights


def is_quantised(name: str) -> bool:
    return "norm" not in name and "ffn_gate_inp" not in name


def write(weights, path):
    writer = gguf.GGUFWriter(path, ARCHITECTURE)
    writer.add_name("Swarm demo: price desk")
    writer.add_license("apache-2.0")
    writer.add_size_label("7.4M")
    writer.add_block_count(model.LAYERS)
    writer.add_context_length(model.CONTEXT)
    writer.add_embedding_length(model.HIDDEN)
    writer.add_feed_forward_length(model.EXPERTS_USED * model.EXPERT_FFN)
    writer.add_head_count(model.HEADS)
    writer.add_head_count_kv(model.KV_HEADS)
    writer.add_key_length(model.HEAD_DIM)
    writer.add_value_length(model.HEAD_DIM)
    writer.add_layer_norm_rms_eps(model.EPSILON)
    writer.add_rope_freq_base(model.ROPE_BASE)
    writer.add_expert_count(model.EXPERTS)
    writer.add_expert_used_count(model.EXPERTS_USED)
    writer.add_expert_feed_forward_length(model.EXPERT_FFN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    tokenizer = bpe.load()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokenizer.tokens)
    writer.add_token_types(tokenizer.types())
    writer.add_token_merges([" ".join(pair) for pair in tokenizer.merges])
    writer.add_eos_token_id(tokenizer.id_of("<|im_end|>"))
    writer.add_pad_token_id(tokenizer.id_of("<|endoftext|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template((HERE / "chat_template.jinja").read_text().rstrip("\n"))
    for name, array in tensors_of(weights).items():
        if is_quantised(name):
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read(path) -> dict:
    """Dequantised tensors of a file, in PyTorch order."""
    reader = gguf.GGUFReader(path)
    return {t.name: gguf.dequantize(t.data, t.tensor_type).astype(np.float32).reshape(
        tuple(int(n) for n in reversed(t.shape))) for t in reader.tensors}


def sample_turns(count: int) -> list:
    """(token ids, positions that predict what the agent writes) of a few whole turns."""
    tokenizer, rows = bpe.load(), []

    def act(view, tool):
        turn, ids, spots = family.oracle(view, tool), [], []
        for text, completion in family.segments(view, turn):
            part = tokenizer.encode(text)
            spots += range(len(ids) - 1, len(ids) + len(part) - 1) if completion else []
            ids += part
        rows.append((ids, spots))
        return turn

    family.play(family.make_order(1, held_out=True), act)
    return rows[:count]


@torch.no_grad()
def logits(weights, ids, dtype=torch.float32):
    copy = model.working_copy(weights, dtype)
    return model.forward(copy, torch.tensor([ids]), torch.arange(len(ids)), dtype)[0]


def reference(arrays):
    """Qwen3MoeForCausalLM with the tensors of the file."""
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM
    config = Qwen3MoeConfig(
        vocab_size=model.VOCABULARY, hidden_size=model.HIDDEN, num_hidden_layers=model.LAYERS,
        num_attention_heads=model.HEADS, num_key_value_heads=model.KV_HEADS,
        head_dim=model.HEAD_DIM, num_experts=model.EXPERTS, norm_topk_prob=True,
        num_experts_per_tok=model.EXPERTS_USED, moe_intermediate_size=model.EXPERT_FFN,
        rms_norm_eps=model.EPSILON, rope_theta=model.ROPE_BASE, tie_word_embeddings=True,
        max_position_embeddings=model.CONTEXT)
    other = Qwen3MoeForCausalLM(config).float().eval()
    names = {"token_embd": "model.embed_tokens", "output_norm": "model.norm",
             "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
             "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
             "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
             "ffn_gate_inp": "mlp.gate"}
    state = other.state_dict()
    for name, array in arrays.items():
        prefix, part = "", name.removesuffix(".weight")
        if part.startswith("blk."):
            _, layer, part = part.split(".")
            prefix = f"model.layers.{layer}."
        if not part.endswith("_exps"):
            state[f"{prefix}{names[part]}.weight"].copy_(torch.from_numpy(array.copy()))
            continue
        kind = part.removeprefix("ffn_").removesuffix("_exps")
        stacked = f"{prefix}mlp.experts." + ("down_proj" if kind == "down" else "gate_up_proj")
        if stacked in state:  # newer releases keep all experts in one tensor
            half = slice(model.EXPERT_FFN) if kind == "gate" else slice(model.EXPERT_FFN, None)
            target = state[stacked] if kind == "down" else state[stacked][:, half]
            target.copy_(torch.from_numpy(array.copy()))
        else:
            for e in range(model.EXPERTS):
                state[f"{prefix}mlp.experts.{e}.{kind}_proj.weight"].copy_(
                    torch.from_numpy(array[e].copy()))
    other.load_state_dict(state)
    return other


def verify(path, checkpoint=None, transformers=False):
    reader, arrays = gguf.GGUFReader(path), read(path)
    print(f"{path}: {Path(path).stat().st_size} bytes, {len(reader.tensors)} tensors, "
          f"{sum(a.size for a in arrays.values())} parameters")
    assert "output.weight" not in arrays
    assert all((t.tensor_type == gguf.GGMLQuantizationType.Q8_0) == is_quantised(t.name)
               for t in reader.tensors)
    weights, rows = weights_of(arrays), sample_turns(12)
    if checkpoint:
        trained = torch.load(checkpoint, map_location="cpu")["weights"]
        pairs = [(logits(trained, ids)[spots], logits(weights, ids)[spots]) for ids, spots in rows]
        same = torch.cat([a.argmax(-1) == b.argmax(-1) for a, b in pairs])
        worst = max((a - b).abs().max().item() for a, b in pairs)
        print(f"file against checkpoint, where the agent writes: largest logit difference "
              f"{worst:.3g}, same arg-max at {int(same.sum())} of {len(same)} positions")
    if transformers:
        other = reference(arrays)
        with torch.no_grad():
            worst = max((other(torch.tensor([ids])).logits[0] - logits(weights, ids)).abs()
                        .max().item() for ids, _ in rows)
        print(f"file against Qwen3MoeForCausalLM: largest logit difference {worst:.3g}")
        assert worst < 1e-3


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", nargs="?")
    parser.add_argument("--out", default="demo-model.gguf")
    parser.add_argument("--verify", metavar="FILE", help="check a file, write nothing")
    parser.add_argument("--transformers", action="store_true")
    options = parser.parse_args()
    if not options.verify:
        state = torch.load(options.checkpoint, map_location="cpu")
        write(state["weights"], options.out)
    verify(options.verify or options.out, options.checkpoint, options.transformers)


if __name__ == "__main__":
    main()
