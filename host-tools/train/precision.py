"""What training computes in: bfloat16 where a device multiplies it faster than single precision, and single precision elsewhere.

A processor without AVX-512 BF16 or AMX takes five to eight times as long for a product in bfloat16 (PyTorch 2.15, AVX2)."""

import torch


def fast(device: str = "cpu") -> torch.autocast:
    """The context that a model trains and is evaluated in."""
    halves = device != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device, torch.bfloat16, enabled=halves)
