"""The feature cache: what is computed once is read ever after, whatever happened in between."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from meronym.backbones import Backbone, FeatureCache, Job, cached_features
from meronym.images import BadPhoto


class Pooled(nn.Module):
    """Means over 8 x 8 cells; counts the photos it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(3, 1, 1))
        self.seen = 0
        self.largest = 0

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        self.seen += len(torch.unique(images, dim=0))  # the last batch is filled up with its last photo
        self.largest = max(self.largest, len(images))
        return [nn.functional.avg_pool2d(images + self.shift, 8)]


@pytest.fixture
def backbone() -> Backbone:
    made = Backbone("pooled", Pooled(), layers=("mean",), size=32, precision="fp32")
    made.extractor.seen = made.extractor.largest = 0
    return made


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "cache")


def colour(i: int, size: tuple[int, int] = (32, 32)) -> Image.Image:
    return Image.new("RGB", size, (20 * i % 256, 255 - 20 * i % 256, 90))


def jobs(count: int) -> list[Job]:
    return [Job(f"photo{i}", lambda i=i: colour(i)) for i in range(count)]


def test_put_and_get(cache: FeatureCache) -> None:
    array = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4)
    assert cache.get("a") is None and not cache.has("a") and cache.size() == 0
    path = cache.put("a", array)
    assert path == cache.path("a") and path.parent.parent == cache.folder and len(path.parent.name) == 2
    assert cache.has("a") and cache.get("a").dtype == np.float16
    np.testing.assert_array_equal(cache.get("a"), array.astype(np.float16))
    assert cache.size() == path.stat().st_size > 48


@pytest.mark.parametrize("key", ["../../etc/passwd", "a/b", "", ".hidden", "x" * 500, "mésange.jpg", "a b\n"])
def test_any_key_stays_inside(cache: FeatureCache, key: str) -> None:
    path = cache.put(key, np.ones(2))
    assert cache.folder.resolve() in path.resolve().parents and cache.get(key).tolist() == [1, 1]


def test_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERONYM_CACHE", str(tmp_path))
    assert FeatureCache().folder == tmp_path
    monkeypatch.delenv("MERONYM_CACHE")
    assert FeatureCache().folder == Path.home() / ".cache" / "meronym"


def test_a_write_that_fails_leaves_nothing(cache: FeatureCache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put("a", np.zeros(3))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        cache.put("a", np.ones(3))
    assert cache.get("a").tolist() == [0, 0, 0]
    assert [p.suffix for p in cache.folder.rglob("*") if p.is_file()] == [".npy"]


def test_features_are_those_of_the_backbone_and_computed_once(backbone: Backbone, cache: FeatureCache) -> None:
    told: list[tuple[int, int]] = []
    paths = cached_features(backbone, jobs(11), cache, batch_size=4, progress=lambda *at: told.append(at))
    assert backbone.extractor.seen == 11 and backbone.extractor.largest == 4
    assert told[0] == (0, 11) and told[-1] == (11, 11) and sorted(told) == told
    for i in (0, 7, 10):
        pixels = torch.from_numpy(np.array(colour(i))).permute(2, 0, 1)[None] / 255
        np.testing.assert_allclose(np.load(paths[i]), backbone(pixels)[0].numpy(), atol=1e-3)
        assert backbone.fingerprint in str(paths[i])
    backbone.extractor.seen = 0
    assert cached_features(backbone, jobs(11), cache) == paths
    assert backbone.extractor.seen == 0


def test_only_what_is_missing_or_damaged_is_computed(backbone: Backbone, cache: FeatureCache) -> None:
    paths = cached_features(backbone, jobs(6), cache)
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[:-7])
    paths[2].write_bytes(b"")
    paths[3].write_bytes(b"not an array at all" * 20)
    os.remove(paths[4])
    backbone.extractor.seen = 0
    assert cached_features(backbone, jobs(6), cache) == paths
    assert backbone.extractor.seen == 4
    assert paths[1].read_bytes() == whole


def test_other_weights_do_not_meet_old_features(backbone: Backbone, cache: FeatureCache) -> None:
    first = cached_features(backbone, jobs(2), cache)
    other = Pooled()
    other.shift.data += 1
    changed = Backbone("pooled", other, layers=("mean",), size=32, precision="fp32")
    assert not set(first) & set(cached_features(changed, jobs(2), cache))


def test_photos_that_cannot_be_read_are_listed(backbone: Backbone, cache: FeatureCache) -> None:
    def broken() -> Image.Image:
        raise BadPhoto("two.jpg", "truncated")

    def gone() -> Image.Image:
        raise FileNotFoundError("four.jpg has gone")

    work = jobs(5)
    work[2], work[4] = Job("two", broken), Job("four", gone)
    skipped, told = {}, []
    paths = cached_features(backbone, work, cache, progress=lambda *at: told.append(at), skipped=skipped)
    assert [path is None for path in paths] == [False, False, True, False, True]
    assert skipped.keys() == {2, 4} and "two.jpg" in skipped[2] and "four.jpg" in skipped[4]
    assert told[-1] == (5, 5)


def test_other_errors_are_not_hidden(backbone: Backbone, cache: FeatureCache) -> None:
    def mistake() -> Image.Image:
        raise KeyError("a mistake in the code")

    with pytest.raises(KeyError):
        cached_features(backbone, [*jobs(30), Job("x", mistake), *jobs(3)], cache)


def test_a_run_cut_off_goes_on_where_it_stopped(backbone: Backbone, cache: FeatureCache) -> None:
    def stop() -> Image.Image:
        raise KeyboardInterrupt

    work = jobs(20)
    with pytest.raises(KeyboardInterrupt):
        cached_features(backbone, [*work[:15], Job("x", stop), *work[16:]], cache, batch_size=2, workers=1)
    kept = backbone.extractor.seen
    assert kept > 0
    backbone.extractor.seen = 0
    assert None not in cached_features(backbone, work, cache)
    assert backbone.extractor.seen == 20 - kept


def test_one_key_is_computed_once_and_sizes_may_differ(backbone: Backbone, cache: FeatureCache) -> None:
    work = [
        Job("same", lambda: colour(1)),
        Job("wide", lambda: colour(2, (64, 32))),
        Job("same", lambda: colour(1)),
    ]
    paths = cached_features(backbone, work, cache)
    assert backbone.extractor.seen == 2 and paths[0] == paths[2]
    assert np.load(paths[1]).shape == (3, 4, 8)


def test_few_photos_are_in_memory_at_once(backbone: Backbone, cache: FeatureCache) -> None:
    loaded = 0
    ahead = 0

    def load(i: int) -> Image.Image:
        nonlocal loaded, ahead
        loaded += 1
        ahead = max(ahead, loaded - backbone.extractor.seen)
        return colour(i)

    cached_features(backbone, [Job(f"p{i}", lambda i=i: load(i)) for i in range(120)], cache, batch_size=4, workers=2)
    assert loaded == 120 and ahead <= 3 * 4 + 2 + 2
