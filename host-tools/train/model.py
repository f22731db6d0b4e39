"""Jamba for training: the parameter names, shapes and arithmetic of transformers' `JambaForCausalLM`.

Comments give shapes: B batch, T time, H hidden, D = expand * H inner channels, N = 16 states, E experts.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

from ops import conv_silu, dropout, scan
from quantize import linear


@dataclass(frozen=True)
class Config:
    vocab: int
    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int = 1
    attn_period: int = 4
    attn_offset: int = 2
    d_conv: int = 4
    d_state: int = 16
    expand: int = 2
    eps: float = 1e-6
    #: In every second layer, from the second on, where there are several; `active` of them work on a token.
    experts: int = 1
    active: int = 1

    @property
    def dt_rank(self) -> int:
        return math.ceil(self.hidden / 16)


class RMSNorm(nn.Module):
    def __init__(self, size: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


class Linear(nn.Linear):
    """A matrix product; while `quantize.enabled`, of what the int8 engine sees of weights and activations."""

    def forward(self, x):
        return linear(x, self.weight, self.bias)


class Mamba(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        inner = c.expand * c.hidden
        self.split = [c.dt_rank, c.d_state, c.d_state]
        self.in_proj = Linear(c.hidden, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, c.d_conv, groups=inner)
        self.x_proj = Linear(inner, sum(self.split), bias=False)
        self.dt_proj = Linear(c.dt_rank, inner)
        self.A_log = nn.Parameter(torch.log(torch.arange(1, c.d_state + 1).float()).repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = Linear(inner, c.hidden, bias=False)
        self.dt_layernorm = RMSNorm(c.dt_rank, c.eps)
        self.b_layernorm = RMSNorm(c.d_state, c.eps)
        self.c_layernorm = RMSNorm(c.d_state, c.eps)
        # Step sizes start log-uniform in [0.001, 0.1], as in the Mamba paper.
        dt = torch.exp(torch.rand(inner) * math.log(100) + math.log(0.001))
        self.dt_proj.bias.data = dt + torch.log(-torch.expm1(-dt))

    def forward(self, x):
        u, z = self.in_proj(x).float().chunk(2, -1)
        u = conv_silu(u, self.conv1d.weight.squeeze(1), self.conv1d.bias)
        dt, B, C = self.x_proj(u).float().split(self.split, -1)
        dt = F.softplus(self.dt_proj(self.dt_layernorm(dt)).float())
        y = scan(u, dt, -torch.exp(self.A_log), self.b_layernorm(B), self.c_layernorm(C), self.D)
        return self.out_proj(y * F.silu(z))


class Attention(nn.Module):
    """Grouped-query, causal, no positional encoding."""

    #: Recent tokens that are seen, and first ones; all of them if None.
    window: tuple[int, int] | None = None

    def __init__(self, c: Config):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = c.heads, c.kv_heads, c.hidden // c.heads
        self.q_proj = Linear(c.hidden, c.hidden, bias=False)
        self.k_proj = Linear(c.hidden, c.kv_heads * self.head_dim, bias=False)
        self.v_proj = Linear(c.hidden, c.kv_heads * self.head_dim, bias=False)
        self.o_proj = Linear(c.hidden, c.hidden, bias=False)

    def forward(self, x):
        B, T, _ = x.shape
        groups = self.heads // self.kv_heads
        # The queries of one key-value head stand below each other: (B, kv_heads, groups * T, head_dim).
        q = self.q_proj(x).view(B, T, self.kv_heads, groups, self.head_dim).permute(0, 2, 3, 1, 4)
        q = q.reshape(B, self.kv_heads, groups * T, self.head_dim)
        k = self.k_proj(x).view(B, T, self.kv_heads, self.head_dim).transpose(1, 2)
        v = self.v_proj(x).view(B, T, self.kv_heads, self.head_dim).transpose(1, 2)
        # Written out, since on CPUs the fused kernel's backward pass is slower at these lengths.
        scores = (q @ k.transpose(2, 3)).float().view(B, self.kv_heads, groups, T, T) / math.sqrt(self.head_dim)
        hidden = torch.ones(T, T, dtype=torch.bool, device=x.device).triu(1)
        if self.window is not None:
            recent, first = self.window
            hidden |= torch.ones_like(hidden).tril(-recent) & (torch.arange(T, device=x.device) >= first)
        weights = scores.masked_fill(hidden, -torch.inf).softmax(-1)
        y = weights.view(B, self.kv_heads, groups * T, T).to(v.dtype) @ v
        y = y.view(B, self.kv_heads, groups, T, self.head_dim).permute(0, 3, 1, 2, 4)
        return self.o_proj(y.reshape(B, T, -1))


class MLP(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.gate_proj = Linear(c.hidden, c.ffn, bias=False)
        self.up_proj = Linear(c.hidden, c.ffn, bias=False)
        self.down_proj = Linear(c.ffn, c.hidden, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x).float()) * self.up_proj(x).float())


class Router(nn.Linear):
    """Of full width whatever surrounds it: a choice that rounding turns is another one."""

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.float(), self.weight)


class Experts(nn.Module):
    """A mixture of experts (Jamba's): the sum of what the best `active` say, each weighed by its share of the softmax of all."""

    def __init__(self, c: Config):
        super().__init__()
        self.active = c.active
        self.router = Router(c.hidden, c.experts, bias=False)
        self.experts = nn.ModuleList(MLP(c) for _ in range(c.experts))
        #: How unevenly the experts were asked in the last pass: 1 if all equally (Fedus et al. 2021, the load-balancing loss).
        self.imbalance = torch.tensor(1.0)

    def forward(self, x):
        tokens = x.reshape(-1, x.shape[-1])
        shares = self.router(tokens).softmax(-1)  # (B * T, E)
        weights, chosen = shares.topk(self.active, -1)
        order = chosen.flatten().argsort(stable=True)
        counts = torch.bincount(chosen.flatten(), minlength=len(self.experts))
        self.imbalance = len(self.experts) * (counts / counts.sum() * shares.mean(0)).sum()
        rows = order // self.active
        said = [expert(part) for expert, part in zip(self.experts, tokens[rows].split(counts.tolist()))]
        weighed = torch.cat(said).float() * weights.flatten()[order, None]
        return torch.zeros_like(tokens, dtype=torch.float32).index_add(0, rows, weighed).view(x.shape)


class Layer(nn.Module):
    def __init__(self, c: Config, index: int, dropout: float):
        super().__init__()
        self.dropout = dropout
        self.input_layernorm = RMSNorm(c.hidden, c.eps)
        self.pre_ff_layernorm = RMSNorm(c.hidden, c.eps)
        self.feed_forward = Experts(c) if c.experts > 1 and index % 2 == 1 else MLP(c)
        self.attention = index % c.attn_period == c.attn_offset
        if self.attention:
            self.self_attn = Attention(c)
        else:
            self.mamba = Mamba(c)

    def forward(self, x):
        x = self.add(x, self.mixer(self.input_layernorm(x)))
        return self.add(x, self.feed_forward(self.pre_ff_layernorm(x)))

    @property
    def mixer(self) -> nn.Module:
        return self.self_attn if self.attention else self.mamba

    def add(self, x, update):
        """The residual connection."""
        return x + dropout(update.float(), self.dropout, self.training)

    def compile_parts(self):
        """Compiles each part by itself, for any shape. (Compiled as a whole, a layer is slower: PyTorch 2.15 fuses
        the norms with what surrounds them and computes parts of it repeatedly.)"""
        parts = [self.input_layernorm, self.pre_ff_layernorm, self.mixer]
        if isinstance(self.feed_forward, MLP):  # how many tokens an expert gets is known as it runs
            parts.append(self.feed_forward)
        for part in parts:
            part.compile(dynamic=True)
        self.add = torch.compile(self.add, dynamic=True)


class Jamba(nn.Module):
    def __init__(self, c: Config, dropout: float = 0.0):
        super().__init__()
        self.config = c
        self.embed_tokens = nn.Embedding(c.vocab, c.hidden)
        self.layers = nn.ModuleList(Layer(c, i, dropout) for i in range(c.layers))
        self.final_layernorm = RMSNorm(c.hidden, c.eps)
        for name, weight in self.named_parameters():
            if weight.dim() == 2 and "A_log" not in name and "dt_proj" not in name:
                residual = any(part in name for part in ("out_proj", "o_proj", "down_proj"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * c.layers) if residual else 0.02)

    def hidden_states(self, tokens):
        """Tokens (B, T) -> normed states (B, T, H), ready for `head`."""
        x = F.embedding(tokens, self.embed_tokens.weight)
        for layer in self.layers:
            x = layer(x)
        return self.final_layernorm(x)

    def head(self, states):
        """The tied output matrix: states (.., H) -> logits (.., vocab), float32."""
        return linear(states, self.embed_tokens.weight).float()

    def forward(self, tokens):
        return self.head(self.hidden_states(tokens))
