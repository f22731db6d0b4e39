"""Summaries from a model in training: batched prefill, then one token at a time for all rows.

Texts stand right-aligned: the padding before a text is kept out of the Mamba states and of the attention.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

import ops
from batches import END, PAD
from model import Attention, Jamba, Mamba


@dataclass
class MambaState:
    inputs: torch.Tensor  # (B, 3, D): the convolution's last inputs
    h: torch.Tensor  # (B, N, D)


@dataclass
class AttentionState:
    keys: torch.Tensor  # (B, kv_heads, T, head_dim)
    values: torch.Tensor
    seen: torch.Tensor  # (B, T) bool: False for padding


def mamba_prefill(m: Mamba, x, real):
    u, z = m.in_proj(x).float().chunk(2, -1)
    u = u * real[..., None]
    inputs = F.pad(u, (0, 0, 3, 0))[:, -3:]
    u = ops.conv_silu(u, m.conv1d.weight.squeeze(1), m.conv1d.bias) * real[..., None]
    dt, B, C = m.x_proj(u).float().split(m.split, -1)
    dt = F.softplus(m.dt_proj(m.dt_layernorm(dt)).float())
    y, h = ops.scan_with_state(u, dt, -torch.exp(m.A_log), m.b_layernorm(B), m.c_layernorm(C), m.D)
    return m.out_proj(y * F.silu(z)), MambaState(inputs, h)


def mamba_step(m: Mamba, x, state: MambaState):
    u, z = m.in_proj(x).float().chunk(2, -1)  # (B, D) each
    window = torch.cat([state.inputs, u[:, None]], 1)
    state.inputs = window[:, 1:]
    u = F.silu((window * m.conv1d.weight.squeeze(1).t()).sum(1) + m.conv1d.bias)
    dt, B, C = m.x_proj(u).float().split(m.split, -1)
    dt = F.softplus(m.dt_proj(m.dt_layernorm(dt)).float())
    A = -torch.exp(m.A_log).t()
    state.h = torch.exp(dt[:, None] * A) * state.h + (dt * u)[:, None] * m.b_layernorm(B)[..., None]
    y = (state.h * m.c_layernorm(C)[..., None]).sum(1) + m.D * u
    return m.out_proj(y * F.silu(z))


def attend(m: Attention, q, state: AttentionState, mask):
    """q (B, heads, T, head_dim) over all that was seen; mask (B, T, S) bool: may look."""
    groups = m.heads // m.kv_heads
    keys, values = (x.repeat_interleave(groups, 1) for x in (state.keys, state.values))
    y = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask[:, None])
    return m.o_proj(y.transpose(1, 2).flatten(2))


def attention_prefill(m: Attention, x, real):
    B, T, _ = x.shape
    q, k, v = (p(x).float().view(B, T, -1, m.head_dim).transpose(1, 2) for p in (m.q_proj, m.k_proj, m.v_proj))
    state = AttentionState(k, v, real)
    past = torch.ones(T, T, dtype=torch.bool).tril()
    # Padding looks at itself, so that no row is empty.
    mask = (past & real[:, None, :]) | torch.eye(T, dtype=torch.bool)
    return attend(m, q, state, mask), state


def attention_step(m: Attention, x, state: AttentionState):
    B = x.shape[0]
    q, k, v = (p(x).float().view(B, 1, -1, m.head_dim).transpose(1, 2) for p in (m.q_proj, m.k_proj, m.v_proj))
    state.keys, state.values = torch.cat([state.keys, k], 2), torch.cat([state.values, v], 2)
    state.seen = torch.cat([state.seen, torch.ones(B, 1, dtype=torch.bool)], 1)
    return attend(m, q, state, state.seen[:, None, :])[:, 0]


def run(model: Jamba, x, mixers, last_only: bool = False):
    """The residual stack with a given computation for each layer's mixer, then logits (of the last step alone)."""
    for layer, mixer in zip(model.layers, mixers):
        # `forward`, not the module: parts that training compiled would be compiled again for these shapes.
        x = x + mixer(layer.input_layernorm.forward(x)).float()
        x = x + layer.feed_forward.forward(layer.pre_ff_layernorm.forward(x)).float()
    return model.head(model.final_layernorm(x[:, -1] if last_only else x))


def align(heads: list[list[int]]):
    """Prompts -> tokens (B, T), padded on the left, and which of them are real."""
    width = max(map(len, heads))
    tokens = torch.tensor([[PAD] * (width - len(head)) + head for head in heads])
    real = torch.tensor([[False] * (width - len(head)) + [True] * len(head) for head in heads])
    return tokens, real


@torch.no_grad()
def generate(model: Jamba, heads: list[list[int]], *, copies: int = 1, temperature: float = 0.0,
             no_repeat_ngram: int = 0, repetition_penalty: float = 1.0, max_new: int = 40) -> list[list[int]]:
    """Summaries' tokens, END left out, of each prompt (`copies` of each in turn). Temperature 0 is greedy.

    `no_repeat_ngram` and `repetition_penalty` count the summary's own tokens, as the engine's sampler does.
    """
    model.eval()
    tokens, real = align(heads)
    states: list = []

    def prefill(mixer):
        def compute(x):
            forward = attention_prefill if isinstance(mixer, Attention) else mamba_prefill
            y, state = forward(mixer, x, real)
            states.append(state)
            return y

        return compute

    x = F.embedding(tokens, model.embed_tokens.weight)
    logits = run(model, x, [prefill(layer.mixer) for layer in model.layers], last_only=True)
    for state in states:
        for name, value in vars(state).items():
            setattr(state, name, value.repeat_interleave(copies, 0))
    logits = logits.repeat_interleave(copies, 0)

    steps = [
        lambda x, m=layer.mixer, s=state: (attention_step if isinstance(m, Attention) else mamba_step)(m, x, s)
        for layer, state in zip(model.layers, states)
    ]
    out: list[list[int]] = [[] for _ in range(logits.shape[0])]
    alive = [True] * len(out)
    for _ in range(max_new):
        for row, chosen in enumerate(out):
            if not alive[row]:
                continue
            if repetition_penalty != 1.0 and chosen:
                ids = torch.tensor(sorted(set(chosen)))
                scores = logits[row, ids]
                logits[row, ids] = torch.where(scores > 0, scores / repetition_penalty, scores * repetition_penalty)
            for token in banned(chosen, no_repeat_ngram):
                logits[row, token] = -torch.inf
        if temperature == 0:
            picked = logits.argmax(-1)
        else:
            picked = torch.multinomial((logits / temperature).softmax(-1), 1)[:, 0]
        for row, token in enumerate(picked.tolist()):
            if alive[row]:
                alive[row] = token != END
                if alive[row]:
                    out[row].append(token)
        if not any(alive):
            break
        logits = run(model, F.embedding(picked, model.embed_tokens.weight), steps)
    return out


def banned(chosen: list[int], n: int) -> list[int]:
    """Tokens that would complete an n-gram of `chosen` a second time."""
    if n == 0 or len(chosen) < n:
        return []
    start = chosen[len(chosen) - n + 1 :]
    return [chosen[i + n - 1] for i in range(len(chosen) - n + 1) if chosen[i : i + n - 1] == start]


def summarize(model: Jamba, encoder, texts: list[str], batch: int = 25, **options) -> list[str]:
    """A summary of each text, those of similar length together."""
    heads = [encoder(text, "")[0] for text in texts]
    order = sorted(range(len(texts)), key=lambda i: len(heads[i]))
    out = [""] * len(texts)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        for i, ids in zip(rows, generate(model, [heads[i] for i in rows], **options)):
            out[i] = encoder.plain.decode(ids).strip()
    return out
