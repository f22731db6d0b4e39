"""Summaries from a model in training: batched prefill, then one token at a time for all rows; and the step that both
are made of, with gradients where they are wanted.

Texts stand right-aligned: the padding before a text is kept out of the Mamba states and of the attention.
"""

import math
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
    keys: torch.Tensor  # (B, kv_heads, S, head_dim)
    values: torch.Tensor
    seen: torch.Tensor  # (B, S) bool: False for padding


def advance_mamba(m: Mamba, x, real, inputs, h):
    """x (B, T, H), real (B, T) bool: False for padding, then the state -> result (B, T, H), then the state after it."""
    u, z = m.in_proj(x).float().chunk(2, -1)
    u = torch.cat([inputs, u * real[..., None]], 1)
    inputs = u[:, -3:]
    u = ops.conv_silu(u, m.conv1d.weight.squeeze(1), m.conv1d.bias)[:, 3:] * real[..., None]
    dt, B, C = m.x_proj(u).float().split(m.split, -1)
    dt = F.softplus(m.dt_proj(m.dt_layernorm(dt)).float())
    y, h = ops.scan_from(u, dt, -torch.exp(m.A_log), m.b_layernorm(B), m.c_layernorm(C), m.D, h)
    return m.out_proj(y * F.silu(z)), inputs, h


def advance_attention(m: Attention, x, real, keys, values, seen):
    """As `advance_mamba`; keys and values (B, kv_heads, S, head_dim) and seen (B, S) grow by T."""
    B, T, _ = x.shape
    q, k, v = (p(x).float().view(B, T, -1, m.head_dim).transpose(1, 2) for p in (m.q_proj, m.k_proj, m.v_proj))
    keys, values, seen = torch.cat([keys, k], 2), torch.cat([values, v], 2), torch.cat([seen, real], 1)
    S, groups = keys.shape[2], m.heads // m.kv_heads
    # The queries of one key-value head stand below each other, as in `Attention.forward`.
    q = q.reshape(B, m.kv_heads, groups * T, m.head_dim)
    scores = (q @ keys.transpose(2, 3)).float().view(B, m.kv_heads, groups, T, S) / math.sqrt(m.head_dim)
    position = torch.arange(S, device=x.device)
    # Padding looks at itself, so that no row is empty.
    may = seen[:, None] & (position <= position[S - T :, None]) | (position == position[S - T :, None])
    weights = scores.masked_fill(~may[:, None, None], -torch.inf).softmax(-1)
    y = weights.view(B, m.kv_heads, groups * T, S).to(values.dtype) @ values
    y = y.view(B, m.heads, T, m.head_dim).transpose(1, 2)
    return m.o_proj(y.reshape(B, T, -1)), keys, values, seen


compiled_mamba = torch.compile(advance_mamba, dynamic=True)
compiled_attention = torch.compile(advance_attention, dynamic=True)


def fresh(model: Jamba, batch: int) -> list:
    """The states of all layers before the first token."""

    def state(mixer):
        if isinstance(mixer, Attention):
            empty = torch.zeros(batch, mixer.kv_heads, 0, mixer.head_dim)
            return AttentionState(empty, empty, torch.zeros(batch, 0, dtype=torch.bool))
        inner = mixer.D.shape[0]
        return MambaState(torch.zeros(batch, 3, inner), torch.zeros(batch, mixer.split[1], inner))

    return [state(layer.mixer) for layer in model.layers]


def rows(states: list, index: torch.Tensor) -> list:
    """The states of these rows of a batch; a row may be taken several times."""
    return [type(state)(*(value[index] for value in vars(state).values())) for state in states]


def join(parts: list[list]) -> list:
    """The states of several batches as those of one. Fewer keys and values are padded on the left, as prompts are."""
    out = []
    for layer in zip(*parts):
        if isinstance(layer[0], AttentionState):
            width = max(state.seen.shape[1] for state in layer)
            missing = [width - state.seen.shape[1] for state in layer]
            layer = [
                AttentionState(F.pad(s.keys, (0, 0, n, 0)), F.pad(s.values, (0, 0, n, 0)), F.pad(s.seen, (n, 0)))
                for s, n in zip(layer, missing)
            ]
        out.append(type(layer[0])(*(torch.cat(values) for values in zip(*(vars(state).values() for state in layer)))))
    return out


def advance(model: Jamba, tokens, real, states: list, compiled: bool = False) -> tuple[torch.Tensor, list]:
    """Tokens (B, T) -> normed hidden states (B, T, H), ready for `head`, and the layers' states after them.

    `compiled` pays where gradients are wanted; without, parts that training compiled are not compiled again for the
    many shapes of decoding.
    """
    part = (lambda module: module) if compiled else (lambda module: module.forward)
    mamba, attention = (compiled_mamba, compiled_attention) if compiled else (advance_mamba, advance_attention)
    x = F.embedding(tokens, model.embed_tokens.weight)
    after = []
    for layer, state in zip(model.layers, states):
        y, *values = (attention if layer.attention else mamba)(
            layer.mixer, part(layer.input_layernorm)(x), real, *vars(state).values()
        )
        after.append(type(state)(*values))
        x = x + y.float()
        x = x + part(layer.feed_forward)(part(layer.pre_ff_layernorm)(x)).float()
    return model.final_layernorm(x), after


def align(heads: list[list[int]]):
    """Prompts -> tokens (B, T), padded on the left, and which of them are real."""
    width = max(map(len, heads))
    tokens = torch.tensor([[PAD] * (width - len(head)) + head for head in heads])
    real = torch.tensor([[False] * (width - len(head)) + [True] * len(head) for head in heads])
    return tokens, real


@torch.no_grad()
def generate(model: Jamba, heads: list[list[int]], **options) -> list[list[int]]:
    """Summaries' tokens of each prompt; options as in `continue_from`."""
    model.eval()
    hidden, states = advance(model, *align(heads), fresh(model, len(heads)))
    return continue_from(model, hidden[:, -1], states, **options)


@torch.no_grad()
def continue_from(model: Jamba, hidden, states: list, *, copies: int = 1, temperature: float = 0.0,
                  no_repeat_ngram: int = 0, repetition_penalty: float = 1.0, max_new: int = 40) -> list[list[int]]:
    """Tokens, END left out, that follow each row's hidden state (B, H) and states (`copies` of each in turn).

    Temperature 0 is greedy. `no_repeat_ngram` and `repetition_penalty` count the summary's own tokens, as the engine's
    sampler does.
    """
    index = torch.arange(hidden.shape[0]).repeat_interleave(copies)
    logits, states = model.head(hidden)[index], rows(states, index)
    out: list[list[int]] = [[] for _ in index]
    alive = list(range(len(out)))  # which of `out` the rows of logits and states are
    for _ in range(max_new):
        for row, chosen in enumerate(out[i] for i in alive):
            if repetition_penalty != 1.0 and chosen:
                ids = torch.tensor(sorted(set(chosen)))
                scores = logits[row, ids]
                logits[row, ids] = torch.where(scores > 0, scores / repetition_penalty, scores * repetition_penalty)
            for token in banned(chosen, no_repeat_ngram):
                logits[row, token] = -torch.inf
        if temperature == 0:
            picked = logits.argmax(-1)
        else:
            # By the inverse of the distribution function: torch.multinomial draws a number for each of the vocabulary.
            total = (logits / temperature).float().softmax(-1).cumsum(-1)
            picked = torch.searchsorted(total, torch.rand(len(total), 1) * total[:, -1:])[:, 0]
        going = picked != END
        for row, token in enumerate(picked.tolist()):
            if token != END:
                out[alive[row]].append(token)
        alive = [i for i, goes in zip(alive, going.tolist()) if goes]
        if not alive:
            break
        if len(alive) < len(going):
            picked, states = picked[going], rows(states, going)
        hidden, states = advance(model, picked[:, None], torch.ones(len(alive), 1, dtype=torch.bool), states)
        logits = model.head(hidden[:, -1])
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
