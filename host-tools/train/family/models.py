"""The five: S4D, Mamba, Transformer, Jamba and Granite (Mamba-2) of the same depth and width, and as many parameters.

All are Jambas that differ in the mixers of their four layers. S4D is no part of transformers; its folder says
`model_type: jamlet`, and host-tools/src/hf/config.rs documents what that means. Granite's is transformers'
`GraniteMoeHybridForCausalLM` without experts.
"""

import json
import math
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

from export import hf_config
from family.tasks import VOCAB
from model import Config, Jamba, Linear, RMSNorm
from ops import conv_silu

HIDDEN, LAYERS, HEADS, KV_HEADS = 40, 4, 4, 2
#: Name: period and offset of attention, and the width of the MLP that makes the sizes equal.
FAMILY = {"s4d": (100, 99, 30), "mamba": (100, 99, 26), "transformer": (1, 0, 109), "jamba": (4, 2, 47), "granite": (4, 2, 64)}
#: Channels that share a step size in Mamba-2.
HEAD_DIM = 16


class S4d(nn.Module):
    """S4D-Real (Gu et al. 2022) in Mamba's block: dt, B and C are constants of a channel, A is real."""

    def __init__(self, c: Config):
        super().__init__()
        inner, n = c.expand * c.hidden, c.d_state
        self.in_proj = Linear(c.hidden, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, c.d_conv, groups=inner)
        self.log_dt = nn.Parameter(torch.rand(inner) * math.log(100) + math.log(0.001))
        self.A_log = nn.Parameter(torch.log(torch.arange(1, n + 1).float()).repeat(inner, 1))
        self.B = nn.Parameter(torch.ones(inner, n))
        self.C = nn.Parameter(torch.randn(inner, n))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = Linear(inner, c.hidden, bias=False)

    def forward(self, x):
        u, z = self.in_proj(x).float().chunk(2, -1)
        u = conv_silu(u, self.conv1d.weight.squeeze(1), self.conv1d.bias)
        return self.out_proj((self.convolve(u) + self.D * u) * F.silu(z))

    def convolve(self, u):
        """The recurrence h = exp(dt A) h + dt B u, y = C h, as one convolution over the whole text: u, y (B, T, E)."""
        time = u.shape[1]
        dt = self.log_dt.exp()[:, None]
        decay = (-dt * self.A_log.exp())[:, :, None] * torch.arange(time, dtype=u.dtype)
        kernel = torch.einsum("en,ent->et", self.C * self.B * dt, decay.exp())
        product = torch.fft.rfft(u.transpose(1, 2), 2 * time) * torch.fft.rfft(kernel, 2 * time)
        return torch.fft.irfft(product, 2 * time)[..., :time].transpose(1, 2)


class Mamba2(nn.Module):
    """Mamba-2 (Dao and Gu 2024) with one group, computed as attention with decay: their section 6, the whole text one chunk."""

    def __init__(self, c: Config):
        super().__init__()
        inner = c.expand * c.hidden
        heads = inner // HEAD_DIM
        self.split = [inner, inner + 2 * c.d_state, heads]
        self.in_proj = Linear(c.hidden, sum(self.split), bias=False)
        self.conv1d = nn.Conv1d(self.split[1], self.split[1], c.d_conv, groups=self.split[1])
        dt = torch.exp(torch.rand(heads) * math.log(100) + math.log(0.001))
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))
        self.A_log = nn.Parameter(torch.log(torch.arange(1, heads + 1).float()))
        self.D = nn.Parameter(torch.ones(heads))
        self.norm = RMSNorm(inner, c.eps)
        self.out_proj = Linear(inner, c.hidden, bias=False)

    def forward(self, x):
        z, mixed, dt = self.in_proj(x).float().split(self.split, -1)
        mixed = conv_silu(mixed, self.conv1d.weight.squeeze(1), self.conv1d.bias)
        states = (self.split[1] - self.split[0]) // 2
        u, b, c = mixed.split([self.split[0], states, states], -1)
        u = u.unflatten(-1, (-1, HEAD_DIM))
        dt = F.softplus(dt + self.dt_bias)
        # What is left at time t of a head's input at time s: exp of the sum of dt A from s + 1 to t. (B, M, T, T).
        passed = (dt * -self.A_log.exp()).cumsum(1).transpose(1, 2)
        left = passed[:, :, :, None] - passed[:, :, None, :]
        future = torch.ones(left.shape[-2:], dtype=torch.bool).triu(1)
        weights = left.masked_fill(future, -torch.inf).exp() * (c @ b.transpose(1, 2))[:, None]
        y = torch.einsum("bmts,bsmd->btmd", weights, dt[..., None] * u) + self.D[:, None] * u
        return self.out_proj(self.norm(y.flatten(-2) * F.silu(z)))


def build(name: str) -> Jamba:
    """One of the five, as it is before training."""
    period, offset, ffn = FAMILY[name]
    config = Config(VOCAB, HIDDEN, ffn, LAYERS, HEADS, KV_HEADS, period, offset)
    model = Jamba(config)
    if name == "s4d":
        for layer in model.layers:
            layer.mamba = S4d(config)
    if name == "granite":
        for layer in model.layers:
            if not layer.attention:
                layer.mamba = Mamba2(config)
    for key, weight in model.named_parameters():
        if key.endswith("_proj.weight") and "dt_proj" not in key:
            nn.init.normal_(weight, std=(LAYERS * weight.shape[1]) ** -0.5)
        if name == "granite" and key.endswith("mamba.out_proj.weight"):
            # What is behind Mamba-2's norm is as large as any, and would drown the tokens themselves.
            weight.data.mul_(0.2)
    nn.init.normal_(model.embed_tokens.weight, std=0.3)
    return model


def parameters(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def save(name: str, model: Jamba, out: Path) -> None:
    """A Hugging Face folder without a tokenizer: tokens are what tasks.py says."""
    out.mkdir(parents=True, exist_ok=True)
    config = hf_config(model.config)
    tensors = {f"model.{key}": weight.detach().float().contiguous() for key, weight in model.state_dict().items()}
    if name == "granite":
        config, tensors = granite(model.config, tensors)
    if name == "s4d":
        kinds = ["s4d"] * LAYERS
        config |= {"architectures": ["JamletForCausalLM"], "model_type": "jamlet", "layers_block_type": kinds}
        tensors = {key.replace(".mamba.", ".s4d."): weight for key, weight in tensors.items()}
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})


def granite(c: Config, tensors: dict[str, torch.Tensor]) -> tuple[dict, dict[str, torch.Tensor]]:
    """The configuration and the tensors as `GraniteMoeHybridForCausalLM` names them."""
    shared = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "rms_norm_eps",
              "hidden_act", "tie_word_embeddings", "max_position_embeddings", "mamba_d_state", "mamba_d_conv", "mamba_expand",
              "mamba_conv_bias", "mamba_proj_bias", "use_cache", "bos_token_id", "eos_token_id", "pad_token_id", "dtype")  # fmt: skip
    jamba = hf_config(c)
    kinds = ["attention" if i % c.attn_period == c.attn_offset else "mamba" for i in range(c.layers)]
    config = {key: jamba[key] for key in shared} | {
        "architectures": ["GraniteMoeHybridForCausalLM"],
        "model_type": "granitemoehybrid",
        "layer_types": kinds,
        "mamba_n_heads": c.expand * c.hidden // HEAD_DIM,
        "mamba_d_head": HEAD_DIM,
        "mamba_n_groups": 1,
        "intermediate_size": c.ffn,
        "shared_intermediate_size": c.ffn,
        "num_local_experts": 0,
        "num_experts_per_tok": 0,
        "position_embedding_type": "nope",
        "attention_bias": False,
        "attention_multiplier": (c.hidden // c.heads) ** -0.5,
        "embedding_multiplier": 1.0,
        "residual_multiplier": 1.0,
        "logits_scaling": 1.0,
    }
    found = {}
    for key, weight in tensors.items():
        if key.endswith(".feed_forward.gate_proj.weight"):
            up = tensors[key.replace("gate_proj", "up_proj")]
            found[key.replace("feed_forward.gate_proj", "shared_mlp.input_linear")] = torch.cat([weight, up])
        elif not key.endswith(".feed_forward.up_proj.weight"):
            for old, new in (("feed_forward.down_proj", "shared_mlp.output_linear"),
                             ("pre_ff_layernorm", "post_attention_layernorm"), ("final_layernorm", "norm")):  # fmt: skip
                key = key.replace(old, new)
            found[key] = weight
    return config, found
