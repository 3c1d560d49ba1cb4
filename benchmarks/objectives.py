"""Time and peak memory of one training step's objectives, against the naive form, side by side in one run.

    python benchmarks/objectives.py [--results results]

L_f + L_v + L_c, forward and backward, batch 6, 256x256, 768 channels (256 at 64x64 and 512 at 16x16), K = 4. The naive
form is what the published code computes, written anew here: features upsampled to the photo and masked, the
(K, D, H, W) tensor of differences of one photo at a time. Each form runs in a process of its own; memory is the
peak of its resident set above what it was before the first step.
"""

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from meronym.evaluation.results import append
from meronym.objectives import contrastive, draw_partners, part_consistency, pool, visual_consistency

BATCH, PARTS, SIDE = 6, 4, 256
LAYERS = ((256, 64), (512, 16))
Inputs = tuple[Tensor, list[Tensor], Tensor, Tensor, Tensor]
WEIGHTS = {"L_f": 30.0, "L_v": 30.0, "L_c": 2300.0}


def inputs() -> Inputs:
    """Logits, features, Lab photo, foreground and partners, the same in both processes."""
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(BATCH, PARTS, SIDE, SIDE, generator=g, requires_grad=True)
    layers = [torch.randn(BATCH, d, s, s, generator=g).relu() for d, s in LAYERS]
    lab = 100 * torch.rand(BATCH, 3, SIDE, SIDE, generator=g)
    foreground = (torch.rand(BATCH, 1, SIDE, SIDE, generator=g) > 0.4).float()
    return logits, layers, lab, foreground, draw_partners(BATCH, PARTS, g)


def ours(given: Inputs) -> tuple[Tensor, Tensor]:
    """The exact low-resolution form: the total and the gradient of the logits."""
    logits, layers, lab, foreground, partners = given
    logits.grad = None
    masks = logits.softmax(1) * foreground
    pooled = pool(masks, layers)
    total = WEIGHTS["L_f"] * part_consistency(pooled).mean() + WEIGHTS["L_v"] * visual_consistency(masks, lab).mean()
    total = total + WEIGHTS["L_c"] * contrastive(pooled.z, partners, 0.19, cosine=True)
    total.backward()
    return total.detach(), logits.grad  # type: ignore[return-value]


def naive(given: Inputs) -> tuple[Tensor, Tensor]:
    """Everything at the photo's resolution."""
    logits, layers, lab, foreground, partners = given
    logits.grad = None
    masks = logits.softmax(1) * foreground
    fine = torch.cat([F.interpolate(f, (SIDE, SIDE), mode="bilinear") for f in layers], dim=1) * foreground
    lab = lab * foreground
    means, total = [], torch.zeros(())
    for weight, values in ((WEIGHTS["L_f"], fine), (WEIGHTS["L_v"], lab)):
        for mask, value, inside in zip(masks, values, foreground, strict=True):
            z = (mask[:, None] * value[None]).sum((2, 3)) / mask.sum((1, 2))[:, None].clamp(min=1e-7)
            spread = mask[:, None] * inside * (value[None] - z[:, :, None, None]).square()
            total = total + weight * spread.sum() / (mask.sum() + 1e-5) / BATCH
            if values is fine:
                means.append(z)
    total = total + WEIGHTS["L_c"] * contrastive(torch.stack(means), partners, 0.19, cosine=True)
    total.backward()
    return total.detach(), logits.grad  # type: ignore[return-value]


def _measure(step: Callable, repeats: int, queue: multiprocessing.Queue) -> None:
    given = inputs()
    before = _peak_mb()
    step(given) if repeats > 1 else None  # warm-up, where it is affordable
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        total, gradient = step(given)
        times.append(time.perf_counter() - begin)
    queue.put((statistics.median(times), _peak_mb() - before, float(total), gradient.numpy()))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(step: Callable, repeats: int) -> tuple[float, float, float, Tensor]:
    """Seconds a step (median), peak megabytes above the start, the total, the gradient."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_measure, args=(step, repeats, queue))
    process.start()
    seconds, memory, total, gradient = queue.get()
    process.join()
    return seconds, memory, total, torch.from_numpy(gradient)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"))
    folder = parser.parse_args().results
    fast, slow = measure(ours, 10), measure(naive, 1)
    apart = float((fast[3] - slow[3]).norm() / slow[3].norm())
    print(f"total: {fast[2]:.6g} and {slow[2]:.6g}; gradients differ by {apart:.1e} of their norm")
    if abs(fast[2] - slow[2]) > 1e-4 * abs(slow[2]) or apart > 1e-3:
        raise SystemExit("the two forms disagree")
    compared = f"L_f + L_v + L_c, forward and backward, batch {BATCH}, {SIDE} px, 768 channels, K={PARTS}; naive form"
    for name, unit, mine, theirs in (
        ("objectives, time", "s", fast[0], slow[0]),
        ("objectives, memory", "MB", fast[1], slow[1]),
    ):
        line = {
            "benchmark": name,
            "ours": round(mine, 4),
            "other": round(theirs, 4),
            "ratio": round(theirs / mine, 1),
            "unit": unit,
            "compared": compared,
        }
        print(f"{name}: {mine:.4g} {unit} against {theirs:.4g} {unit}, {theirs / mine:.0f} times")
        append(folder, line)


if __name__ == "__main__":
    main()
