"""The demo model in PyTorch: qwen3moe, tied head, as plain functions over a dictionary of weights.

Weights are named and shaped as in the GGUF (PyTorch order, so the reverse of the dims there).
Matrix products run in bf16, everything else in f32. Only what training and simulation need: full
sequences, no cache. `initial_weights` writes an induction circuit into layers 0 and 1, which is
what makes copying learnable in minutes; see README.md.
"""

import math

import torch
import torch.nn.functional as F

HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD_DIM = 256, 4, 4, 2, 64
EXPERTS, EXPERTS_USED, EXPERT_FFN = 8, 2, 256
VOCABULARY, CONTEXT = 1024, 2048
ROPE_BASE, EPSILON = 1e6, 1e-6
MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate_up_exps", "ffn_down_exps")


class GroupedLinear(torch.autograd.Function):
    """Rows sorted by expert times the matrix of their expert: [rows, in] -> [rows, out]."""

    @staticmethod
    def forward(ctx, x, weight, ends):
        out = x.new_empty(x.shape[0], weight.shape[1])
        start = 0
        for expert, end in enumerate(ends):
            torch.mm(x[start:end], weight[expert].t(), out=out[start:end])
            start = end
        ctx.save_for_backward(x, weight)
        ctx.ends = ends
        return out

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        grad = grad.contiguous()
        grad_x, grad_weight = torch.empty_like(x), torch.empty_like(weight)
        start = 0
        for expert, end in enumerate(ctx.ends):
            torch.mm(grad[start:end], weight[expert], out=grad_x[start:end])
            torch.mm(grad[start:end].t(), x[start:end], out=grad_weight[expert])
            start = end
        return grad_x, grad_weight, None


class RmsNorm(torch.autograd.Function):
    """y = x * weight / rms(x) over the last dimension."""

    @staticmethod
    def forward(ctx, x, weight):
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True).add_(EPSILON))
        unit = x * scale
        ctx.save_for_backward(unit, scale, weight)
        return unit * weight

    @staticmethod
    def backward(ctx, grad):
        unit, scale, weight = ctx.saved_tensors
        last = unit.shape[-1]
        grad_weight = (grad * unit).reshape(-1, last).sum(0)
        grad = grad * weight
        inner = (grad * unit).mean(-1, keepdim=True)
        return grad.sub_(unit * inner).mul_(scale), grad_weight


def rms_norm(x, weight):
    return RmsNorm.apply(x, weight)


def rope_table(length, device):
    """cos and sin of [length, 1, head_dim / 2]."""
    pair = torch.arange(HEAD_DIM // 2, device=device, dtype=torch.float64)
    angle = torch.arange(length, device=device)[:, None] * ROPE_BASE ** (-2 * pair / HEAD_DIM)
    return angle.cos().float()[:, None], angle.sin().float()[:, None]


def rope(x, table):
    """x: [batch, length, heads, head_dim]; half-split pairs."""
    cos, sin = table
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def attention(w, prefix, h, table, mask, dtype):
    """h: [batch, length, hidden] -> heads joined, [batch, length, heads * head_dim].

    The query heads of a group are stacked along the length, so keys are never repeated.
    """
    batch, length, _ = h.shape
    h = h.to(dtype)

    def heads(name, count):
        return F.linear(h, w[f"{prefix}attn_{name}.weight"]).view(batch, length, count, HEAD_DIM)

    def grouped(x):
        x = x.to(dtype).view(batch, length, KV_HEADS, -1, HEAD_DIM).permute(0, 2, 3, 1, 4)
        return x.reshape(batch * KV_HEADS, -1, HEAD_DIM)

    q = rms_norm(heads("q", HEADS).float(), w[f"{prefix}attn_q_norm.weight"])
    k = rms_norm(heads("k", KV_HEADS).float(), w[f"{prefix}attn_k_norm.weight"])
    q, k, v = grouped(rope(q, table)), grouped(rope(k, table)), grouped(heads("v", KV_HEADS))
    scores = torch.bmm(q, k.transpose(1, 2)).float() * HEAD_DIM ** -0.5
    shares = (scores.view(batch, HEADS, length, length) + mask).softmax(-1)
    out = torch.bmm(shares.view_as(scores).to(dtype), v)
    return out.view(batch, HEADS, length, HEAD_DIM).transpose(1, 2).reshape(batch, length, -1)


def mixture(w, prefix, h, dtype):
    """h: [rows, hidden] -> (output, load-balance loss of this layer)."""
    rows = h.shape[0]
    scores = F.linear(h, w[f"{prefix}ffn_gate_inp.weight"])
    top, chosen = scores.topk(EXPERTS_USED, dim=-1)
    share = top.softmax(-1)
    counts = torch.bincount(chosen.flatten(), minlength=EXPERTS)
    order = chosen.flatten().argsort(stable=True)
    # Each expert's rows are padded to a multiple of 64, so that few kernel shapes occur. The
    # padding computes row 0 again and is never read.
    padded = (counts + 63) // 64 * 64
    ends = padded.cumsum(0)
    shift = (ends - padded) - (counts.cumsum(0) - counts)
    place = torch.empty_like(order)
    place[order] = torch.arange(order.numel(), device=order.device) + shift[chosen.flatten()[order]]
    source = torch.zeros(int(ends[-1]), dtype=torch.long, device=order.device)
    source[place] = torch.arange(order.numel(), device=order.device) // EXPERTS_USED
    x, ends = h.to(dtype)[source], ends.tolist()
    gate, up = GroupedLinear.apply(x, w[f"{prefix}ffn_gate_up_exps.weight"], ends).chunk(2, -1)
    out = GroupedLinear.apply(F.silu(gate) * up, w[f"{prefix}ffn_down_exps.weight"], ends)
    out = out[place].view(rows, EXPERTS_USED, HIDDEN)
    balance = EXPERTS * (scores.softmax(-1).mean(0) * (counts / (rows * EXPERTS_USED))).sum()
    return torch.bmm(share.to(dtype)[:, None], out)[:, 0].float(), balance


def forward(w, tokens, wanted, dtype=torch.bfloat16):
    """tokens: [batch, length]; wanted: flat positions to predict at.

    Returns logits [wanted, vocabulary] and the summed load-balance loss. The last layer's
    feed-forward and the head run at the wanted positions only.
    """
    table = rope_table(tokens.shape[1], tokens.device)
    x = F.embedding(tokens, w["token_embd.weight"])
    mask = torch.full((tokens.shape[1],) * 2, -torch.inf, device=tokens.device).triu(1)
    balance = 0.0
    for layer in range(LAYERS):
        p = f"blk.{layer}."
        joined = attention(w, p, rms_norm(x, w[p + "attn_norm.weight"]), table, mask,
                           dtype)
        x, joined = x.view(-1, HIDDEN), joined.view(-1, HEADS * HEAD_DIM)
        if layer == LAYERS - 1:
            x, joined = x[wanted], joined[wanted]
        x = x + F.linear(joined, w[p + "attn_output.weight"]).float()
        out, loss = mixture(w, p, rms_norm(x, w[p + "ffn_norm.weight"]), dtype)
        x, balance = x + out, balance + loss
        if layer < LAYERS - 1:
            x = x.view(*tokens.shape, HIDDEN)
    x = rms_norm(x, w["output_norm.weight"]).to(dtype)
    return F.linear(x, w["token_embd.weight"].to(dtype)).float(), balance


def working_copy(weights, dtype=torch.bfloat16, grad=False):
    """Leaves for one pass: matrices in `dtype`, the rest in f32."""
    copy = {}
    for name, tensor in weights.items():
        matrix = any(kind in name for kind in MATRICES) and "norm" not in name
        copy[name] = tensor.detach().to(dtype if matrix else torch.float32).requires_grad_(grad)
    return copy


# ---- Initial weights ---------------------------------------------------------------------------


def initial_weights(seed: int) -> dict:
    """Random weights with an induction circuit: previous-token head, then match and copy."""
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape, std=0.02):
        return torch.randn(*shape, generator=rng) * std

    residual = 0.02 / math.sqrt(2 * LAYERS)
    w = {}
    for layer in range(LAYERS):
        p = f"blk.{layer}."
        w[p + "attn_norm.weight"] = torch.ones(HIDDEN)
        w[p + "attn_q.weight"] = normal(HEADS * HEAD_DIM, HIDDEN)
        w[p + "attn_k.weight"] = normal(KV_HEADS * HEAD_DIM, HIDDEN)
        w[p + "attn_v.weight"] = normal(KV_HEADS * HEAD_DIM, HIDDEN)
        w[p + "attn_output.weight"] = normal(HIDDEN, HEADS * HEAD_DIM, std=residual)
        w[p + "attn_q_norm.weight"] = torch.ones(HEAD_DIM)
        w[p + "attn_k_norm.weight"] = torch.ones(HEAD_DIM)
        w[p + "ffn_norm.weight"] = torch.ones(HIDDEN)
        w[p + "ffn_gate_inp.weight"] = normal(EXPERTS, HIDDEN)
        w[p + "ffn_gate_up_exps.weight"] = normal(EXPERTS, 2 * EXPERT_FFN, HIDDEN)
        w[p + "ffn_down_exps.weight"] = normal(EXPERTS, HIDDEN, EXPERT_FFN, std=residual)
    w["output_norm.weight"] = torch.ones(HIDDEN)
    # A constant in every row is, without biases, the only source of position-only attention.
    constant = torch.where(torch.rand(HIDDEN, generator=rng) < 0.5, -0.05, 0.05)
    w["token_embd.weight"] = normal(VOCABULARY, HIDDEN, std=0.05) + constant
    write_induction(w, constant / constant.norm(), rng)
    return w


def orthonormal(rows, avoid, rng):
    """[rows, hidden] orthonormal directions, orthogonal to `avoid`."""
    random = torch.randn(HIDDEN, rows + 1, generator=rng)
    random[:, 0] = avoid
    return torch.linalg.qr(random)[0][:, 1:].t().contiguous()


def write_induction(w, constant, rng):
    half, fast, slow = HEAD_DIM // 2, 8, 16
    theta = ROPE_BASE ** (-2 * torch.arange(fast) / HEAD_DIM)
    # Layer 0, head 0: the score peaks at distance 1, so the value is that of the previous token.
    q, k = w["blk.0.attn_q.weight"], w["blk.0.attn_k.weight"]
    k[:fast] += 0.3 * constant
    q[:fast] += 0.3 * theta.cos()[:, None] * constant
    q[half:half + fast] -= 0.3 * theta.sin()[:, None] * constant
    for name in ("blk.0.attn_q_norm.weight", "blk.0.attn_k_norm.weight"):
        w[name][:fast] = w[name][half:half + fast] = 2.0
    read = orthonormal(HEAD_DIM, constant, rng)
    write = orthonormal(HEAD_DIM, constant, rng)
    w["blk.0.attn_v.weight"][:HEAD_DIM] = read
    w["blk.0.attn_output.weight"][:, :HEAD_DIM] = 0.12 * write.t()
    # Layer 1, one head per group: find where the current token was the previous one, copy that.
    slots = torch.cat([torch.arange(half - slow, half), torch.arange(HEAD_DIM - slow, HEAD_DIM)])
    for group in range(KV_HEADS):
        head = group * HEADS // KV_HEADS
        part = slice(2 * slow * group, 2 * slow * (group + 1))
        w["blk.1.attn_q.weight"][head * HEAD_DIM + slots] = read[part]
        w["blk.1.attn_k.weight"][group * HEAD_DIM + slots] = write[part]
        value = orthonormal(HEAD_DIM, constant, rng)
        w["blk.1.attn_v.weight"][group * HEAD_DIM:(group + 1) * HEAD_DIM] = 0.5 * value
        columns = slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
        w["blk.1.attn_output.weight"][:, columns] = 0.3 * value.t()
    for name in ("blk.1.attn_q_norm.weight", "blk.1.attn_k_norm.weight"):
        w[name][slots] = 1.5
