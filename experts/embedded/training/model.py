"""The networks: Qwen3-shaped decoders, dense or sparse mixtures of experts, as the native engine runs them.

Plain torch (1.13 is enough). Matrices that are multiplied with the same input are one parameter, which
saves time on a CPU; `export.py` takes them apart.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of a network; `experts` 0 makes it dense."""
    vocabulary: int
    width: int = 96
    layers: int = 3
    heads: int = 3
    hidden: int = 192   # of the dense feed-forward network, or of each expert
    experts: int = 0
    used: int = 2
    context: int = 512
    epsilon: float = 1e-6
    rope_base: float = 10000.0

    @property
    def head(self):
        return self.width // self.heads

    @property
    def architecture(self):
        return "qwen3moe" if self.experts else "qwen3"


def normal(*size, scale):
    return nn.Parameter(torch.randn(*size) * scale)


def rms_norm(x, weight, epsilon):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * weight


def rotary(shape, positions):
    """cos and sin [T, head/2] of rotary embeddings (arXiv 2104.09864), halves apart (NeoX)."""
    half = shape.head // 2
    angle = positions[:, None].float() * shape.rope_base ** (-torch.arange(half).float() / half)
    return angle.cos(), angle.sin()


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)


class Attention(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.norm = nn.Parameter(torch.ones(shape.width))
        self.qkv = normal(3, shape.width, shape.width, scale=shape.width ** -0.5)
        self.q_norm = nn.Parameter(torch.ones(shape.head))
        self.k_norm = nn.Parameter(torch.ones(shape.head))
        self.output = normal(shape.width, shape.width, scale=shape.width ** -0.5 / (2 * shape.layers) ** 0.5)

    def forward(self, x, rope, mask):
        s = self.shape
        rows, length, _ = x.shape
        h = rms_norm(x, self.norm, s.epsilon)
        qkv = F.linear(h, self.qkv.reshape(3 * s.width, s.width)).view(rows, length, 3, s.heads, s.head)
        q, k, v = (t.transpose(1, 2) for t in qkv.unbind(2))
        q = rotate(rms_norm(q, self.q_norm, s.epsilon), *rope)
        k = rotate(rms_norm(k, self.k_norm, s.epsilon), *rope)
        scores = q @ k.transpose(-1, -2) * s.head ** -0.5 + mask
        mixed = scores.softmax(-1) @ v
        return x + F.linear(mixed.transpose(1, 2).reshape(rows, length, s.width), self.output)


class Dense(nn.Module):
    """SwiGLU (arXiv 2002.05202)."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.norm = nn.Parameter(torch.ones(shape.width))
        self.gate_up = normal(2, shape.hidden, shape.width, scale=shape.width ** -0.5)
        self.down = normal(shape.width, shape.hidden, scale=shape.hidden ** -0.5 / (2 * shape.layers) ** 0.5)

    def forward(self, x):
        h = rms_norm(x, self.norm, self.shape.epsilon)
        gate, up = F.linear(h, self.gate_up.reshape(-1, self.shape.width)).chunk(2, -1)
        return x + F.linear(F.silu(gate) * up, self.down), x.new_zeros(())


class Sparse(nn.Module):
    """The best `used` of the experts per token, softmax weights renormalised (Mixtral, arXiv 2401.04088)."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.norm = nn.Parameter(torch.ones(shape.width))
        self.router = normal(shape.experts, shape.width, scale=0.02)
        self.gate_up = normal(shape.experts, 2, shape.hidden, shape.width, scale=shape.width ** -0.5)
        self.down = normal(shape.experts, shape.width, shape.hidden,
                           scale=shape.hidden ** -0.5 / (2 * shape.layers) ** 0.5)

    def forward(self, x):
        s = self.shape
        h = rms_norm(x, self.norm, s.epsilon).view(-1, s.width)
        scores = F.linear(h, self.router).softmax(-1)
        best, chosen = scores.topk(s.used, -1)
        weight = best / best.sum(-1, keepdim=True)
        order = chosen.view(-1).argsort(stable=True)
        counts = chosen.view(-1).bincount(minlength=s.experts)
        rows = torch.div(order, s.used, rounding_mode="floor")
        outputs = []
        for e, part in enumerate(h[rows].split(counts.tolist())):
            gate, up = F.linear(part, self.gate_up[e].reshape(-1, s.width)).chunk(2, -1)
            outputs.append(F.linear(F.silu(gate) * up, self.down[e]))
        mixed = torch.cat(outputs) * weight.view(-1)[order, None]
        out = torch.zeros_like(h).index_add(0, rows, mixed)
        # Load balance as in arXiv 2101.03961: share of tokens times mean score.
        balance = s.experts * (counts / counts.sum() * scores.mean(0)).sum()
        return x + out.view_as(x), balance


class Network(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.embedding = normal(shape.vocabulary, shape.width, scale=0.5)
        self.attention = nn.ModuleList(Attention(shape) for _ in range(shape.layers))
        kind = Sparse if shape.experts else Dense
        self.feed = nn.ModuleList(kind(shape) for _ in range(shape.layers))
        self.norm = nn.Parameter(torch.ones(shape.width))
        self.output = normal(shape.vocabulary, shape.width, scale=0.02)

    def forward(self, tokens, segments=None, keep=None):
        """Logits of tokens [rows, T] (only where `keep` says so) and the balance loss.

        `segments` [rows, T] numbers the texts packed into a row; none sees another.
        """
        length = tokens.shape[1]
        rope = rotary(self.shape, torch.arange(length))
        visible = torch.ones(length, length, dtype=torch.bool).tril()[None]
        if segments is not None:
            visible = visible & (segments[:, :, None] == segments[:, None, :])
        mask = torch.zeros(visible.shape).masked_fill_(~visible, -1e9)[:, None]
        x, balance = F.embedding(tokens, self.embedding), 0.0
        for attention, feed in zip(self.attention, self.feed):
            x, b = feed(attention(x, rope, mask))
            balance = balance + b
        if keep is not None:
            x = x[keep]
        return F.linear(rms_norm(x, self.norm, self.shape.epsilon), self.output), balance


def upcycled(state, experts):
    """A dense network's state as that of a sparse one whose experts all begin as its feed-forward network
    (sparse upcycling, arXiv 2212.05055); the routers are the caller's."""
    return {k: v.expand(experts, *v.shape).clone() if k.endswith(("gate_up", "down")) else v
            for k, v in state.items()}
