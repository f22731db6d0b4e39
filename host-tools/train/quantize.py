"""What int8 does to a matrix product, in floats: for quantization-aware training and for measuring its cost.

As in the engine: weights and activations in groups along the input dimension, symmetric, one scale a group (weights'
scales rounded to f16). Rounding passes gradients straight through.
"""

import torch
import torch.nn.functional as F

# Set to a group size to simulate int8; None computes in plain floats.
group_size: int | None = None


def fake_quantize(x: torch.Tensor, group: int, f16_scales: bool) -> torch.Tensor:
    """x (.., inputs) rounded to 255 levels a group."""
    size = x.shape[-1]
    pad = -size % group
    groups = F.pad(x.detach(), (0, pad)).unflatten(-1, (-1, group))
    scale = groups.abs().amax(-1, keepdim=True) / 127
    if f16_scales:
        scale = scale.half().float()
    rounded = (groups / scale.clamp_min(1e-20)).round().clamp(-127, 127) * scale
    rounded = rounded.flatten(-2)[..., :size]
    return x + (rounded - x).detach()


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    if group_size is not None:
        x = fake_quantize(x.float(), group_size, f16_scales=False)
        weight = fake_quantize(weight, group_size, f16_scales=True)
    return F.linear(x, weight, bias)
