"""Randomness is addressed, not consumed: every draw is a function of what it is for, never of what came before."""

import hashlib

import torch


def derive(*address: int | str) -> int:
    """A 63-bit seed for an address such as (seed, "photos", epoch)."""
    return int.from_bytes(hashlib.blake2b(repr(address).encode(), digest_size=8).digest(), "little") >> 1


def generator(*address: int | str) -> torch.Generator:
    """A CPU generator for an address."""
    return torch.Generator().manual_seed(derive(*address))


def photos_of_step(seed: int, step: int, batch: int, total: int, world: int = 1) -> list[int]:
    """Which photos step s sees: each epoch is a permutation of all, cut into whole batches.

    Of each batch, as many as `world` processes can share equally.
    """
    if batch < 1:
        raise ValueError(f"batch {batch}: at least 1")
    batch = min(batch, total)
    steps = total // batch
    epoch, place = divmod(step, steps)
    order = torch.randperm(total, generator=generator(seed, "photos", epoch))
    return order[place * batch : place * batch + batch // world * world].tolist()


def share(items: list[int], rank: int, world: int) -> list[int]:
    """The equal part of a batch that one of `world` processes takes. Raises ValueError if it cannot be equal."""
    if len(items) % world:
        raise ValueError(f"a batch of {len(items)} photos cannot be shared equally by {world} processes")
    each = len(items) // world
    return items[rank * each : (rank + 1) * each]
