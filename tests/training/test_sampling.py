"""Which photos a step sees is a function of (seed, step) alone."""

import pytest
import torch

from meronym.training.sampling import derive, generator, photos_of_step, share


def test_an_address_is_a_seed_of_its_own():
    addresses = [(0, "photos", 1), (0, "photos", 2), (1, "photos", 1), (0, "partners", 1), (0, 1), (0, "1"), (0, 1, 1)]
    seeds = [derive(*address) for address in addresses]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 2**63 for seed in seeds)
    assert derive(0, "photos", 1) == 5734060618398407259  # the same on every machine and Python
    draw = [torch.rand(3, generator=generator(0, "a")) for _ in range(2)]
    assert torch.equal(*draw)


@pytest.mark.parametrize(("batch", "total"), [(4, 12), (4, 14), (5, 5), (8, 5), (1, 3)])
def test_an_epoch_sees_each_photo_once(batch, total):
    steps = max(total // batch, 1)
    for epoch in (0, 3):
        seen = [photos_of_step(7, step, batch, total) for step in range(epoch * steps, (epoch + 1) * steps)]
        assert all(len(photos) == min(batch, total) for photos in seen)
        flat = sum(seen, [])
        assert len(set(flat)) == len(flat) and set(flat) <= set(range(total)) and total - len(flat) < batch


def test_steps_seeds_and_epochs_differ_and_repeat():
    orders = [tuple(photos_of_step(seed, step, 50, 100)) for seed in (0, 1) for step in range(4)]
    assert len(set(orders)) == 8
    assert orders == [tuple(photos_of_step(seed, step, 50, 100)) for seed in (0, 1) for step in range(4)]


def test_batch_of_nothing():
    with pytest.raises(ValueError, match="batch 0: at least 1"):
        photos_of_step(0, 0, 0, 10)


def test_shares_make_up_the_batch():
    photos = list(range(12))
    assert sum((share(photos, rank, 3) for rank in range(3)), []) == photos
    with pytest.raises(ValueError, match="12 photos cannot be shared equally by 5 processes"):
        share(photos, 0, 5)
