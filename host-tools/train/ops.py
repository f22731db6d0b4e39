"""The operations of Mamba as differentiable PyTorch operations.

On CPUs: the C++ extension ops.cpp, built on first use. Elsewhere: plain PyTorch, the scan in log2(T) parallel steps.
"""

import os
import sys
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint


@cache
def extension():
    os.environ.setdefault("CUDA_HOME", "")
    # ninja of this environment, also when it is not activated
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    from torch.utils.cpp_extension import load

    flags = ["-O3", "-march=native", "-fopenmp", "-mprefer-vector-width=512"]
    source = Path(__file__).with_name("ops.cpp")
    return load("jamlet_ops", [str(source)], extra_cflags=flags, extra_ldflags=["-fopenmp"])


def scan(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor) -> Tensor:
    """The selective scan: y (B, T, D) from u, dt (B, T, D), A (D, 16), B, C (B, T, 16), skip (D); all float32."""
    if u.device.type == "cpu":
        return _scan(u, dt, A, B, C, skip, u.new_zeros(u.shape[0], A.shape[1], u.shape[2]))[0]
    # Its (B, T, D, 16) intermediates are computed again in the backward pass instead of kept for every layer.
    return checkpoint(scan_parallel, u, dt, A, B, C, skip, use_reentrant=False)


def scan_from(
    u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, start: Tensor
) -> tuple[Tensor, Tensor]:
    """The scan from a state (B, 16, D): its result, and the state after the last step. On CPUs only."""
    return _scan(u, dt, A, B, C, skip, start)


def conv_silu(x: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
    """silu of the causal depthwise convolution: x, result (B, T, D); taps (D, 4); bias (D)."""
    return (_conv if x.device.type == "cpu" else conv_silu_reference)(x, taps, bias)


def scan_parallel(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor) -> Tensor:
    """The scan as an associative one (Hillis and Steele 1986): after the step of distance k, `h` at t is the state that
    the last 2k inputs alone would have left, and `decay` what is left of an older state."""
    decay = torch.exp(dt[..., None] * A)  # (B, T, D, N)
    h = (dt * u)[..., None] * B[:, :, None, :]
    distance = 1
    while distance < u.shape[1]:
        h = torch.cat([h[:, :distance], h[:, distance:] + decay[:, distance:] * h[:, :-distance]], 1)
        decay = torch.cat([decay[:, :distance], decay[:, distance:] * decay[:, :-distance]], 1)
        distance *= 2
    return (h * C[:, :, None, :]).sum(-1) + skip * u


def scan_reference(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor) -> Tensor:
    """The scan by its definition, one step at a time, on any device."""
    h = u.new_zeros(u.shape[0], u.shape[2], A.shape[1])
    out = []
    for t in range(u.shape[1]):
        step = dt[:, t, :, None]
        h = torch.exp(step * A) * h + step * B[:, t, None, :] * u[:, t, :, None]
        out.append((h * C[:, t, None, :]).sum(-1))
    return torch.stack(out, 1) + skip * u


def conv_silu_reference(x: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
    time, width = x.shape[1], taps.shape[1]
    padded = F.pad(x, (0, 0, width - 1, 0))
    return F.silu(sum(padded[:, k : k + time] * taps[:, k] for k in range(width)) + bias)


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Dropout whose random bits are a hash of position and seed: PyTorch's own generator is serial on CPUs."""
    if not training or p == 0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, p, True)
    seed = torch.randint(-(2**31), 2**31, (), dtype=torch.int64).to(torch.int32)
    bits = (torch.arange(x.numel(), dtype=torch.int32).view(x.shape) + seed) * -1640531527
    # The finalizer of MurmurHash3; shifts are logical.
    bits = (bits ^ ((bits >> 16) & 0xFFFF)) * -2048144789
    bits = (bits ^ ((bits >> 13) & 0x7FFFF)) * -1028477387
    bits = bits ^ ((bits >> 16) & 0xFFFF)
    keep = (bits & 0xFFFF) >= round(p * 65536)
    return x * keep * (1 / (1 - p))


def _like(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(x, memory_format=torch.contiguous_format) for x in tensors)


def _contiguous(*tensors: Tensor) -> list[Tensor]:
    return [x.contiguous() for x in tensors]


@torch.library.custom_op("jamlet::scan", mutates_args=(), device_types="cpu")
def _scan(
    u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, start: Tensor
) -> tuple[Tensor, Tensor]:
    return tuple(extension().scan_forward(*_contiguous(u, dt, A, B, C, skip, start)))


@torch.library.custom_op("jamlet::scan_backward", mutates_args=(), device_types="cpu")
def _scan_backward(
    gy: Tensor, glast: Tensor, u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, start: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    return tuple(extension().scan_backward(*_contiguous(gy, glast, u, dt, A, B, C, skip, start)))


@torch.library.custom_op("jamlet::conv", mutates_args=(), device_types="cpu")
def _conv(x: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
    return extension().conv_forward(*_contiguous(x, taps, bias))


@torch.library.custom_op("jamlet::conv_backward", mutates_args=(), device_types="cpu")
def _conv_backward(gu: Tensor, x: Tensor, taps: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return tuple(extension().conv_backward(*_contiguous(gu, x, taps, bias)))


_scan.register_fake(lambda u, dt, A, B, C, skip, start: _like(u, start))
_scan_backward.register_fake(lambda gy, glast, *inputs: _like(*inputs))
_conv.register_fake(lambda x, *rest: _like(x)[0])
_conv_backward.register_fake(lambda gu, *inputs: _like(*inputs))
for operation, gradient in ((_scan, _scan_backward), (_conv, _conv_backward)):
    operation.register_autograd(
        lambda ctx, *g, gradient=gradient: gradient(*g, *ctx.saved_tensors),
        setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
    )
