"""`PartModel`: the discovered parts. Photo in, `Parts` out; saved as a folder of config and safetensors."""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Integer
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from meronym.ahead import ahead
from meronym.collections import Sample
from meronym.collections.base import box_of
from meronym.collections.folder import Folder
from meronym.edges import enlarged, follow_edges
from meronym.files import replace_durably, similar, write_atomically
from meronym.images import BadPhoto, Window, as_photo, crop_mask, crop_photo, open_photo
from meronym.masks import pieces
from meronym.parts import Parts, branch_names, default_names
from meronym.progress import say
from meronym.segmenters import HeadSegmenter, Segmenter, build

Photo = str | Path | Image.Image | np.ndarray
Known = Callable[[Sample], np.ndarray | None]
"""The features (D, h, w) of a sample's view under the frozen backbone, where they were computed before."""
MOST_PIXELS = 24_000_000
"""Of the photos of a batch; a photo's pixel takes eight bytes, or nine with a mask."""
PAINTERS = 2


@dataclass(eq=False)
class PartModel:
    """K parts of one category.

    segmenter: the network. names: one a part, unique. about: settings and measurements of the training that made it.
    edit: what `predict` and `predict_all` do last, such as the names and merged parts of a run; see `meronym.load`.
    merge: which part, 0 to K - 1, each output of the network belongs to, where they are not one and the same; `at`.
    """

    segmenter: Segmenter
    names: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)
    edit: Callable[[Parts], Parts] | None = None
    merge: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.segmenter.eval().to(best_device())
        self.names = self.names or default_names(self.parts)
        if len(self.names) != self.parts or len(set(self.names)) != self.parts:
            raise ValueError(f"{self.parts} parts need as many different names, got {', '.join(self.names)}")

    @property
    def parts(self) -> int:
        return max(self.merge) + 1 if self.merge else self.segmenter.parts

    def at(self, parts: int) -> "PartModel":
        """The same model with so many parts, if it was trained as a tree: each is one or more of its finest parts.

        Labels are exactly those of the finest parts, merged; so is their confidence, that of the finest part.
        Raises ValueError where the tree has no such level.
        """
        levels = {int(k): tuple(merge) for k, merge in self.about.get("levels", {}).items()}
        if parts not in levels:
            known = ", ".join(map(str, levels)) or "none: train with --parts tree"
            raise ValueError(f"at({parts}): the levels of this model are {known}")
        finest = parts == self.segmenter.parts
        about = {key: value for key, value in self.about.items() if finest or key != "steadiness"}
        return PartModel(self.segmenter, branch_names(levels, parts), about, None, () if finest else levels[parts])

    def merged(self, labels: Integer[np.ndarray, "..."]) -> Integer[np.ndarray, "..."]:
        """Labels of parts from labels of the network's outputs; 0, the background, stays."""
        return np.array([0, *(part + 1 for part in self.merge)], np.uint8)[labels] if self.merge else labels

    def shares(self, logits: Float[Tensor, "*B L h w"]) -> Float[Tensor, "*B K h w"]:
        """The softmax of the network's logits, summed over the outputs of each part."""
        shares = logits.softmax(-3)
        if not self.merge:
            return shares
        empty = shares.new_zeros(*shares.shape[:-3], self.parts, *shares.shape[-2:])
        return empty.index_add_(-3, torch.tensor(self.merge, device=shares.device), shares)

    @property
    def fingerprint(self) -> str:
        """Short name of exactly this model: 16 hex digits over its network and its own weights."""
        config = self.segmenter.config() | ({"merge": self.merge} if self.merge else {})
        digest = hashlib.blake2b(json.dumps(config, sort_keys=True).encode(), digest_size=8)
        for name, tensor in sorted(self.segmenter.own_state().items()):
            digest.update(name.encode() + tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def predict(self, photo: Photo, mask: np.ndarray | None = None, box: Window | None = None) -> Parts:
        """The parts of one photo: a path, a Pillow image, or an RGB uint8 array (H, W, 3).

        mask: bool (H, W), where the object is; outside it is background. box: x0, y0, x1, y1 around it.
        With neither, the object is found, if the model was trained with masks or on photos without; else the whole
        photo is cut into parts. Raises BadPhoto for a photo that cannot be used.
        """
        sample = _as_sample(photo)
        if mask is not None and mask.shape != sample.image.size[::-1]:
            sizes = mask.shape[::-1], sample.image.size
            raise BadPhoto(sample.id or "photo", "its mask is {0[0]}x{0[1]}, the photo {1[0]}x{1[1]}".format(*sizes))
        if box is not None and not (box[0] < box[2] and box[1] < box[3]):
            raise ValueError(f"box {box}: x0, y0, x1, y1 with x0 < x1 and y0 < y1 are needed")
        mask = None if mask is None else mask.astype(bool)
        return next(self._edited(self.stream([replace(sample, mask=mask, box=box)])))

    def predict_all(self, photos: str | Path | Iterable[Photo], batch: int = 8) -> Iterator[Parts]:
        """The parts of many photos, in order and in constant memory: a folder, or paths, images, arrays.

        Masks that lie in a folder are used, as in training. A photo that cannot be used is skipped, and named on
        stderr. `meronym.predict` keeps what it finds.
        """
        read: Any = _as_sample
        found: Any = photos
        if isinstance(photos, str | Path):
            folder = Folder(photos)
            found, read = range(len(folder)), folder.__getitem__
            for photo, reason in folder.skipped:
                say(f"skipped {photo}: {reason}")

        def samples() -> Iterator[Sample]:
            for _, sample in ahead(read, found, workers=4, depth=batch):
                try:
                    yield sample.result()
                except BadPhoto as error:
                    say(f"skipped {error}")

        return self._edited(self.stream(samples(), batch))

    def _edited(self, found: Iterator[Parts]) -> Iterator[Parts]:
        return map(self.edit, found) if self.edit else found

    def stream(self, samples: Iterable[Sample], batch: int = 8, known: Known | None = None) -> Iterator[Parts]:
        """The parts of many photos, in order, in constant memory.

        While the network sees a batch, the one before is painted and the next is cropped. Large photos come fewer at
        a time. known: features of photos whose backbone need not run again.
        """

        def look_at(group: list[Sample]) -> list[View]:
            return [replace(self.view(sample), features=known and known(sample)) for sample in group]

        painted: deque[Iterator[Parts]] = deque()
        with ThreadPoolExecutor(PAINTERS) as pool:
            for group, views in ahead(look_at, self.located(samples, batch), 1, 2):
                found = self.segment(views.result())
                painted.append(pool.map(self.painted, group, views.result(), *zip(*found, strict=True)))
                if len(painted) > 1:
                    yield from painted.popleft()
            while painted:
                yield from painted.popleft()

    def view(self, sample: Sample, window: Window | None = None) -> "View":
        """What the network sees of a sample: the window of its object (or the one given), and its foreground."""
        blind = sample.mask is None and sample.box is None
        if window is None:
            whole = blind or not self.segmenter.zoom
            window = photo_window(sample) if whole else self.segmenter.window(object_box(sample))
        return look(sample, window, self.segmenter.frame(window))

    @torch.inference_mode()
    def segment(self, views: list["View"]) -> list[tuple[Float[Tensor, "K h w"], Float[Tensor, "i j"] | None]]:
        """Logits of each view on the network's grid, and the object if the model can find it. One batch a size."""
        device = best_device()
        results: list[Any] = [None] * len(views)
        for kind in {view.kind for view in views}:
            rows = [i for i, view in enumerate(views) if view.kind == kind]
            masks = [torch.from_numpy(f) for i in rows if (f := views[i].foreground) is not None]
            given = torch.stack(masks).to(device) if masks else None
            features = [torch.from_numpy(f).float() for i in rows if (f := views[i].features) is not None]
            if features and isinstance(self.segmenter, HeadSegmenter):
                logits, objects = self.segmenter.of_features(torch.stack(features).to(device), given)
            else:
                images = torch.stack([to_tensor(views[i].photo) for i in rows]).to(device)
                logits, objects = self.segmenter.segment(images, given)
            for place, i in enumerate(rows):
                results[i] = logits[place].float().cpu(), None if objects is None else objects[place].cpu()
        return results

    def located(self, samples: Iterable[Sample], batch: int) -> Iterator[list[Sample]]:
        """Samples in groups. Those with neither mask nor box get a box, where the model looks closely at objects."""
        groups = _groups(samples, batch)
        if not (self.segmenter.zoom and self.segmenter.finds):
            yield from groups
            return

        def wholes(group: list[Sample]) -> dict[int, View]:
            blind = [i for i, sample in enumerate(group) if sample.mask is None and sample.box is None]
            return {i: self.view(group[i], photo_window(group[i])) for i in blind}

        for group, found in ahead(wholes, groups, 1, 2):
            views = found.result()
            for i, (_, objects) in zip(views, self.segment(list(views.values())), strict=True):
                assert objects is not None, "a segmenter that finds objects says where they are"
                group[i] = replace(group[i], box=found_box(objects, group[i].image.size))
            yield group

    def painted(
        self, sample: Sample, view: "View", logits: Tensor, objects: Tensor | None, sharp: bool | None = None
    ) -> Parts:
        """The parts of a sample at its own size, from what `segment` gave for its view.

        sharp: whether labels follow the photo's edges; by default as the network's kind has it.
        """
        size, corners = sample.image.size, self.segmenter.corners
        known = sample.mask is not None or objects is None
        if self.segmenter.sharp if sharp is None else sharp:
            within = None if sample.mask is None else object_box(replace(sample, box=None))
            inside = None if known else objects
            labels, confidence = follow_edges(
                logits.softmax(0), view.window, sample.image, view.photo, corners, within, inside
            )
        else:
            labels, confidence = paint(logits, view.window, size, corners)
            if not known:
                inside, _ = paint(torch.stack([objects - 0.5, 0.5 - objects]), view.window, size)  # type: ignore[operator]
                labels = labels * (inside == 1)
        labels = self.merged(labels)
        if sample.mask is not None:
            labels = labels * sample.mask
        elif sample.box is not None and not self.segmenter.zoom:  # it looked at the whole photo
            x0, y0, x1, y1 = sample.box
            y, x = np.ogrid[: size[1], : size[0]]
            labels = labels * ((x0 <= x) & (x < x1) & (y0 <= y) & (y < y1))
        return Parts(labels=labels, names=self.names, confidence=confidence, id=sample.id, image=sample.image)

    def save(self, folder: str | Path) -> Path:
        """Write config.json and model.safetensors; a frozen backbone is named, not copied."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: tensor.contiguous().cpu() for name, tensor in self.segmenter.own_state().items()}
        temporary = folder / f".model.safetensors.{os.getpid()}"  # several processes may save the same
        save_file(state, temporary)
        replace_durably(temporary, folder / "model.safetensors")
        config = {
            "meronym": version("meronym"),
            "segmenter": self.segmenter.config(),
            "names": list(self.names),
            "about": self.about,
            **({"merge": list(self.merge)} if self.merge else {}),
        }
        write_atomically(folder / "config.json", json.dumps(config, indent=2) + "\n")
        return folder

    def export(self, path: str | Path, **options: Any) -> float:
        """Write the network as ONNX: `meronym.export.export_onnx`."""
        from meronym.export import export_onnx

        return export_onnx(self, path, **options)

    def push_to_hub(self, repo: str, **options: Any) -> str:
        """Publish on the model hub as user/name: `meronym.export.push_to_hub`."""
        from meronym.export import push_to_hub

        return push_to_hub(self, repo, **options)

    @classmethod
    def load(cls, folder: str | Path) -> "PartModel":
        """A saved model, from its folder, from the run folder around it, or from the hub: "hf:user/name"."""
        folder = run_folder(folder)
        folder = folder if (folder / "config.json").exists() else folder / "model"
        if not (folder / "config.json").exists():
            near = "" if folder.parent.exists() else similar(folder.parent)
            how = "; `meronym train` makes one, and the command of a run that was interrupted finishes it"
            raise FileNotFoundError(f"{folder.parent}: no model there{near}{'' if near.endswith('?') else how}")
        config = json.loads((folder / "config.json").read_text())
        segmenter = build(config["segmenter"], load_file(folder / "model.safetensors"))
        return cls(segmenter, tuple(config["names"]), config["about"], None, tuple(config.get("merge", ())))


def run_folder(run: str | Path) -> Path:
    """The folder of a run; one on the hub, "hf:user/name", is fetched first."""
    if not str(run).startswith("hf:"):
        return Path(run)
    from meronym.export.hub import fetch

    return fetch(str(run))


@dataclass(frozen=True, eq=False)
class View:
    """A window of a photo as a network sees it. foreground: float32 (h, w) in 0..1, None where it is not known.

    features: (D, h, w), where a frozen backbone's are known. kind: views of one kind go through it together.
    """

    window: Window
    photo: Image.Image
    foreground: np.ndarray | None
    features: np.ndarray | None = None

    @property
    def kind(self) -> tuple[tuple[int, int], bool, bool]:
        return self.photo.size, self.foreground is None, self.features is None


def _groups(samples: Iterable[Sample], batch: int) -> Iterator[list[Sample]]:
    """So many samples at a time, or fewer where their photos have more than `MOST_PIXELS` together."""
    group, pixels = [], 0
    for sample in samples:
        group.append(sample)
        pixels += sample.image.width * sample.image.height
        if len(group) == batch or pixels > MOST_PIXELS:
            yield group
            group, pixels = [], 0
    if group:
        yield group


def look(sample: Sample, window: Window, size: tuple[int, int]) -> View:
    """Crop a sample to a window, resized to size (width, height)."""
    foreground = None if sample.mask is None else crop_mask(sample.mask, window, size)
    return View(window, crop_photo(sample.image, window, size), foreground)


def object_box(sample: Sample) -> Window:
    """The box around the object: as given, else that of its mask, else the whole photo."""
    if sample.box is not None:
        return sample.box
    return (None if sample.mask is None else box_of(sample.mask)) or photo_window(sample)


def to_tensor(image: Image.Image) -> Float[Tensor, "3 H W"]:
    """RGB in [0, 1]."""
    return torch.from_numpy(np.asarray(image, dtype=np.float32)).permute(2, 0, 1) / 255


def best_device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def photo_window(sample: Sample) -> Window:
    """The whole photo."""
    return 0.0, 0.0, float(sample.image.width), float(sample.image.height)


def found_box(objects: Float[Tensor, "h w"], size: tuple[int, int], pad: float = 0.05) -> Window:
    """The padded box around what is object (> 0.5), crumbs apart, in a photo of this size (w, h): of several, all."""
    (width, height), found = size, pieces(objects.numpy() > 0.5)
    box = box_of(np.logical_or.reduce(found)) if found else None
    if box is None:
        return 0.0, 0.0, float(width), float(height)
    (x0, y0, x1, y1), across, down = box, width / objects.shape[1], height / objects.shape[0]
    wide, high = pad * (x1 - x0), pad * (y1 - y0)
    left, top = max(across * (x0 - wide), 0.0), max(down * (y0 - high), 0.0)
    return left, top, min(across * (x1 + wide), float(width)), min(down * (y1 + high), float(height))


def paint(
    logits: Float[Tensor, "K h w"],
    window: Window,
    size: tuple[int, int],
    corners: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Labels (uint8, part k is k + 1, 0 outside the window) and confidence (float32) at a photo's own size (w, h).

    Logits are enlarged bilinearly, a few rows at a time: K full-size maps of a large photo would not fit in memory.
    """
    labels, confidence = np.zeros(size[::-1], np.uint8), np.zeros(size[::-1], np.float32)
    for place, values in enlarged(logits.transpose(0, 1), window, size, corners):
        best, label = values.softmax(1).max(1)
        labels[place], confidence[place] = label.numpy() + 1, best.numpy()
    return labels, confidence


def _as_sample(photo: Photo) -> Sample:
    match photo:
        case str() | Path():
            return Sample(str(photo), open_photo(photo))
        case Image.Image():
            return Sample("", as_photo(photo))
        case np.ndarray() if photo.ndim == 3 and photo.shape[2] == 3 and photo.dtype == np.uint8:
            return Sample("", Image.fromarray(photo))
        case np.ndarray():
            raise ValueError(f"an array photo is RGB uint8 (H, W, 3), got {photo.dtype} {photo.shape}")
    raise ValueError(f"a photo is a path, a Pillow image or an array, got {type(photo).__name__}")
