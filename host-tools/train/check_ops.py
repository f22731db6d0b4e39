"""Checks the fast operations against their definitions, values and gradients, and Muon against PyTorch's: prints relative differences."""

import torch

import ops
from muon import Muon

LIMIT = 2e-5
# PyTorch's Muon computes in bfloat16, which has 8 bits.
MUON_LIMIT = 2e-2


def scan_in_parts(u, dt, A, B, C, skip):
    """The scan of the first half of the time, then that of the rest from the state in between."""
    middle = u.shape[1] // 2
    parts, state = [], u.new_zeros(u.shape[0], A.shape[1], u.shape[2])
    for part in (slice(0, middle), slice(middle, None)):
        if u[:, part].shape[1]:
            y, state = ops.scan_from(u[:, part], dt[:, part], A, B[:, part], C[:, part], skip, state)
            parts.append(y)
    return torch.cat(parts, 1)


def compare(name: str, fast, slow, shapes: dict[str, tuple], positive: str = "") -> float:
    torch.manual_seed(0)
    inputs = [torch.randn(shape) for shape in shapes.values()]
    inputs = [x.abs() if key == positive else -x.abs() if key == "A" else x for key, x in zip(shapes, inputs)]
    results = []
    for run in (fast, slow):
        leaves = [x.clone().requires_grad_() for x in inputs]
        y = run(*leaves)
        y.backward(torch.cos(torch.arange(y.numel())).view(y.shape))
        # What does not matter for a single step has no gradient at all.
        results.append([y.detach(), *(torch.zeros_like(x) if x.grad is None else x.grad for x in leaves)])
    worst = 0.0
    for label, a, b in zip(["result", *shapes], *results):
        # One step from nothing has no decay: a gradient of A that is zero on both sides.
        difference = ((a - b).abs().max() / b.abs().max().clamp_min(1e-20)).item()
        print(f"{name} {label}: {difference:.1e}")
        worst = max(worst, difference) if difference == difference else float("nan")
    return worst


def muon() -> float:
    """How far the lengths of three steps are from those of PyTorch's: matrices of two shapes, one of them upright."""
    torch.manual_seed(0)
    start = [torch.randn(shape) for shape in ((24, 48), (24, 48), (64, 16))]
    options = {"adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.1, "momentum": 0.95}
    found = []
    for optimizer, more in ((Muon, {}), (torch.optim.Muon, options)):
        torch.manual_seed(1)
        weights = [x.clone().requires_grad_() for x in start]
        steps = optimizer(weights, lr=0.1, **more)
        for _ in range(3):
            for weight in weights:
                weight.grad = torch.randn_like(weight)
            steps.step()
        found.append([(weight - x).detach() for weight, x in zip(weights, start)])
    differences = [((a - b).norm() / b.norm()).item() for a, b in zip(*found)]
    print("muon:", " ".join(f"{difference:.1e}" for difference in differences))
    return max(differences)


def main() -> None:
    worst = 0.0
    for B, T, D in ((3, 50, 48), (2, 2, 32), (1, 1, 16)):
        sizes = {"u": (B, T, D), "dt": (B, T, D), "A": (D, 16), "B": (B, T, 16), "C": (B, T, 16), "skip": (D,)}
        worst = max(worst, compare("scan", ops.scan, ops.scan_reference, sizes, positive="dt"))
        worst = max(worst, compare("scan in parts", scan_in_parts, ops.scan_reference, sizes, positive="dt"))
        worst = max(worst, compare("parallel scan", ops.scan_parallel, ops.scan_reference, sizes, positive="dt"))
        sizes = {"x": (B, T, D), "taps": (D, 4), "bias": (D,)}
        worst = max(worst, compare("conv", ops.conv_silu, ops.conv_silu_reference, sizes))
    if not worst <= LIMIT:
        raise SystemExit(f"an operation differs from its definition by {worst:.1e}, at most {LIMIT} is rounding")
    if not (difference := muon()) <= MUON_LIMIT:
        raise SystemExit(f"Muon's steps differ from PyTorch's by {difference:.1e}, at most {MUON_LIMIT} is rounding")


if __name__ == "__main__":
    main()
