"""The four: S4D, Mamba, Transformer and Jamba of the same depth and width, and as many parameters.

All are Jambas that differ in the mixers of their four layers. S4D is no part of transformers; its folder says
`model_type: jamlet`, and host-tools/src/hf/config.rs documents what that means.
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
from model import Config, Jamba, Linear
from ops import conv_silu

HIDDEN, LAYERS, HEADS, KV_HEADS = 40, 4, 4, 2
#: Name: period and offset of attention, and the width of the MLP that makes the sizes equal.
FAMILY = {"s4d": (100, 99, 30), "mamba": (100, 99, 26), "transformer": (1, 0, 109), "jamba": (4, 2, 47)}


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


def build(name: str) -> Jamba:
    """One of the four, as it is before training."""
    period, offset, ffn = FAMILY[name]
    config = Config(VOCAB, HIDDEN, ffn, LAYERS, HEADS, KV_HEADS, period, offset)
    model = Jamba(config)
    if name == "s4d":
        for layer in model.layers:
            layer.mamba = S4d(config)
    for key, weight in model.named_parameters():
        if key.endswith("_proj.weight") and "dt_proj" not in key:
            nn.init.normal_(weight, std=(LAYERS * weight.shape[1]) ** -0.5)
    nn.init.normal_(model.embed_tokens.weight, std=0.3)
    return model


def parameters(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def save(name: str, model: Jamba, out: Path) -> None:
    """A Hugging Face folder without a tokenizer: tokens are what tasks.py says."""
    out.mkdir(parents=True, exist_ok=True)
    config = hf_config(model.config)
    tensors = {f"model.{key}": weight.detach().float().contiguous() for key, weight in model.state_dict().items()}
    if name == "s4d":
        kinds = ["s4d"] * LAYERS
        config |= {"architectures": ["JamletForCausalLM"], "model_type": "jamlet", "layers_block_type": kinds}
        tensors = {key.replace(".mamba.", ".s4d."): weight for key, weight in tensors.items()}
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
