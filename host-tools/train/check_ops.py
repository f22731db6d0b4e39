"""Checks ops.cpp against its definition in PyTorch, values and gradients: prints the largest relative difference."""

import torch

import ops

LIMIT = 2e-5


def compare(name: str, fast, slow, shapes: dict[str, tuple], positive: str = "") -> float:
    torch.manual_seed(0)
    inputs = [torch.randn(shape) for shape in shapes.values()]
    inputs = [x.abs() if key == positive else -x.abs() if key == "A" else x for key, x in zip(shapes, inputs)]
    results = []
    for run in (fast, slow):
        leaves = [x.clone().requires_grad_() for x in inputs]
        y = run(*leaves)
        y.backward(torch.cos(torch.arange(y.numel())).view(y.shape))
        results.append([y.detach(), *(leaf.grad for leaf in leaves)])
    worst = 0.0
    for label, a, b in zip(["result", *shapes], *results):
        difference = ((a - b).abs().max() / b.abs().max()).item()
        print(f"{name} {label}: {difference:.1e}")
        worst = max(worst, difference)
    return worst


def main() -> None:
    worst = 0.0
    for B, T, D in ((3, 50, 48), (2, 2, 32), (1, 1, 16)):
        sizes = {"u": (B, T, D), "dt": (B, T, D), "A": (D, 16), "B": (B, T, 16), "C": (B, T, 16), "skip": (D,)}
        worst = max(worst, compare("scan", ops.scan, ops.scan_reference, sizes, positive="dt"))
        sizes = {"x": (B, T, D), "taps": (D, 4), "bias": (D,)}
        worst = max(worst, compare("conv", ops.conv_silu, ops.conv_silu_reference, sizes))
    if worst > LIMIT:
        raise SystemExit(f"ops.cpp differs from its definition by {worst:.1e}, at most {LIMIT} is rounding")


if __name__ == "__main__":
    main()
