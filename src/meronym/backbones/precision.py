"""Which arithmetic a frozen network runs in.

Inference under bfloat16 autocast where the machine computes it natively (CUDA from compute capability 8.0;
CPUs with AVX512-BF16 or AMX), float32 elsewhere. Weights and results stay float32.
"""

from contextlib import AbstractContextManager

import torch

PRECISIONS = ("auto", "bf16", "fp32")


def native_bf16(device: torch.device) -> bool:
    """True where bfloat16 products are done in hardware, so that autocast saves time."""
    if device.type == "cuda":
        return torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return _cpu_bf16()
    return False


def _cpu_bf16() -> bool:
    """Ask torch what the processor can do; False when this torch cannot tell."""
    ask = getattr(torch.cpu, "get_capabilities", None)
    if ask is not None:
        try:
            found = dict(ask())
        except RuntimeError:
            found = {}
        if found:
            return bool(found.get("amx_bf16") or found.get("avx512_bf16"))
    older = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(older and older())


def resolve_precision(precision: str, device: torch.device) -> str:
    """`auto` becomes `bf16` or `fp32` for this device; the other two are returned as given."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")
    if precision == "auto":
        return "bf16" if native_bf16(device) else "fp32"
    return precision


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """The context a frozen network runs in; `fp32` also switches an outer autocast off."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
