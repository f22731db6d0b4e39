"""What int8 and 4 bits do to a matrix product, in floats: for quantization-aware training and for measuring their cost.

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


# Steps of a group's largest weight that are tried for its scale, as `jamlet pack` tries them.
NIBBLE_CANDIDATES = (
    -8, -9, -8.75, -8.5, -8.25, -7.75, -7.5, -7.25, -7, -6.75, -6.5, -6.25, -6,
    5.5, 5.75, 6, 6.25, 6.5, 6.75, 7, 7.25, 7.5, 7.75,
)  # fmt: skip


def nibble_scales(weight: torch.Tensor, group: int = 32) -> torch.Tensor:
    """weight (rows, inputs) -> the scale of each group of 4 bits (rows, groups, 1), rounded to f16, that loses least: see
    `nibble_scale` in host-tools/src/pack/quantize.rs."""
    groups = F.pad(weight, (0, -weight.shape[-1] % group)).unflatten(-1, (-1, group))
    largest = groups.gather(-1, groups.abs().argmax(-1, keepdim=True))
    best, most = largest / -8, torch.zeros_like(largest)
    for divisor in NIBBLE_CANDIDATES:
        q = (groups * (divisor / torch.where(largest == 0, 1, largest))).round().clamp(-8, 7)
        product, square = (groups * q).sum(-1, keepdim=True), (q * q).sum(-1, keepdim=True)
        better = product * product > most * square
        square = torch.where(square == 0, 1, square)
        best = torch.where(better, product / square, best)
        most = torch.where(better, product * product / square, most)
    return best.half().float()


def nibbles(weight: torch.Tensor, scales: torch.Tensor, group: int = 32) -> torch.Tensor:
    """weight (rows, inputs) rounded to -8 to 7 steps of its groups' scales (rows, groups, 1)."""
    size = weight.shape[-1]
    padded = F.pad(weight, (0, -size % group)).unflatten(-1, (-1, group))
    steps = (padded / torch.where(scales == 0, 1, scales)).round().clamp(-8, 7)
    return (steps * scales).flatten(-2)[..., :size]
