#!/usr/bin/env python3
"""Random tiny Qwen3 and Qwen3-MoE models as GGUF, with the logits Hugging Face computes for them.

Run by hand (needs torch, transformers, gguf); writes NAME.gguf and NAME.logits beside itself.
NAME.logits: u32 token count n, u32 vocab, n x i32 token ids, n x vocab f32 logits (little endian);
row i = logits after tokens 0..i. Everything in f32, eager attention, seeds fixed below.
Regenerate only when a model is added: the point of these numbers is that they do not move.
"""

import pathlib
import struct

import gguf
import numpy as np
import torch
from transformers import (Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM)

HERE = pathlib.Path(__file__).parent
TOKENS = 40

# name, layers, hidden, heads, kv_heads, head_dim, ffn, experts, used, vocab, tied, theta
MODELS = [
    ("moe-hd32", 2, 32, 4, 2, 32, 16, 10, 3, 50, False, 1e6),
    ("moe-hd64-tied", 2, 40, 2, 1, 64, 20, 5, 2, 61, True, 1e6),
    ("moe-hd128", 1, 24, 4, 1, 128, 16, 16, 4, 40, False, 1e7),
    ("moe-top1", 1, 40, 3, 3, 16, 36, 3, 1, 33, True, 1e4),
    ("dense-hd32-tied", 2, 32, 4, 4, 32, 40, 0, 0, 47, True, 1e6),
    ("dense-hd64", 1, 32, 6, 2, 64, 40, 0, 0, 50, False, 5e6),
]


def build(spec, seed, yarn=None):
    """yarn: what makes the plain rotary embedding another one, as in a config.json."""
    _, layers, hidden, heads, kv_heads, head_dim, ffn, experts, used, vocab, tied, theta = spec
    common = dict(vocab_size=vocab, hidden_size=hidden, intermediate_size=ffn,
                  num_hidden_layers=layers, num_attention_heads=heads,
                  num_key_value_heads=kv_heads, head_dim=head_dim, max_position_embeddings=512,
                  rms_norm_eps=1e-6, tie_word_embeddings=tied, attention_bias=False,
                  rope_parameters={"rope_theta": theta, **(yarn or {"rope_type": "default"})},
                  attn_implementation="eager")
    if experts:
        config = Qwen3MoeConfig(num_experts=experts, num_experts_per_tok=used,
                                moe_intermediate_size=ffn, norm_topk_prob=True,
                                decoder_sparse_step=1, mlp_only_layers=[], **common)
        model = Qwen3MoeForCausalLM(config)
    else:
        model = Qwen3ForCausalLM(Qwen3Config(**common))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            # Half-size heads keep |logit| below about 2, the size the absolute bounds are meant
            # for.
            scale = 0.5 if "embed" in name or "lm_head" in name else 1.0
            p.copy_(1 + 0.2 * noise if "norm" in name else scale * noise / p.shape[-1] ** 0.5)
    return model.float().eval()


def tensors_of(model, spec):
    """Yields (gguf name, array) with the names of reference/engine.md section 5.2."""
    _, layers, _, _, _, _, ffn, experts, _, _, tied, _ = spec
    state = {k: v.detach().float().numpy() for k, v in model.state_dict().items()}
    yield "token_embd.weight", state["model.embed_tokens.weight"]
    yield "output_norm.weight", state["model.norm.weight"]
    if not tied:
        yield "output.weight", state["lm_head.weight"]
    plain = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
             "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
             "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}
    for i in range(layers):
        hf, ours = f"model.layers.{i}.", f"blk.{i}."
        for a, b in plain.items():
            yield f"{ours}{b}.weight", state[f"{hf}{a}.weight"]
        if not experts:
            for kind in ("gate", "up", "down"):
                yield f"{ours}ffn_{kind}.weight", state[f"{hf}mlp.{kind}_proj.weight"]
            continue
        yield f"{ours}ffn_gate_inp.weight", state[f"{hf}mlp.gate.weight"]
        merged = state.get(f"{hf}mlp.experts.gate_up_proj")
        if merged is not None:      # [experts, 2 ffn, hidden], gate rows first
            assert merged.shape[1] == 2 * ffn
            stacks = {"gate": merged[:, :ffn], "up": merged[:, ffn:],
                      "down": state[f"{hf}mlp.experts.down_proj"]}
        else:
            stacks = {kind: np.stack([state[f"{hf}mlp.experts.{e}.{kind}_proj.weight"]
                                      for e in range(experts)]) for kind in ("gate", "up", "down")}
        for kind, stack in stacks.items():
            yield f"{ours}ffn_{kind}_exps.weight", np.ascontiguousarray(stack)


def write_gguf(path, model, spec):
    _, layers, hidden, heads, kv_heads, head_dim, ffn, experts, used, vocab, _, theta = spec
    arch = "qwen3moe" if experts else "qwen3"
    out = gguf.GGUFWriter(path, arch)
    out.add_block_count(layers)
    out.add_context_length(512)
    out.add_embedding_length(hidden)
    out.add_feed_forward_length(ffn)
    out.add_head_count(heads)
    out.add_head_count_kv(kv_heads)
    out.add_key_length(head_dim)
    out.add_value_length(head_dim)
    out.add_layer_norm_rms_eps(1e-6)
    out.add_rope_freq_base(theta)
    if experts:
        out.add_expert_count(experts)
        out.add_expert_used_count(used)
        out.add_expert_feed_forward_length(ffn)
    out.add_tokenizer_model("none")
    out.add_vocab_size(vocab)
    for name, array in tensors_of(model, spec):
        out.add_tensor(name, array.astype(np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def main():
    for seed, spec in enumerate(MODELS):
        model = build(spec, seed)
        vocab = spec[9]
        tokens = np.random.default_rng(seed).integers(0, vocab, TOKENS).astype(np.int32)
        with torch.no_grad():
            logits = model(torch.tensor(tokens.astype(np.int64))[None]).logits[0].numpy()
        assert np.isfinite(logits).all()
        write_gguf(HERE / f"{spec[0]}.gguf", model, spec)
        with open(HERE / f"{spec[0]}.logits", "wb") as f:
            f.write(struct.pack("<II", TOKENS, vocab))
            f.write(tokens.tobytes())
            f.write(logits.astype("<f4").tobytes())
        print(spec[0], "logits", logits.min(), logits.max(), "std", logits.std())


if __name__ == "__main__":
    main()
