"""ONNX: the network in one file that runs without Meronym or PyTorch, checked against the model before it appears.

    input   images   float32 (batch, 3, size, size), RGB in [0, 1]; the normalisation is inside
    output  logits   float32 (batch, K, h, w): enlarge them bilinearly, and the largest says the part
            object   float32 (batch, i, j): how surely each place of a grid, as fine or twice as fine, belongs to the
                     object, for a model that can tell

What else one needs to know lies in the file's metadata, as text: `meronym`, `parts` (JSON: name and colour of each
logit's part; merged parts have one name), `size`, `range`, `mean` and `std` (of the normalisation inside), `window`
(what of a photo to resize to size x size), `align_corners` (of the enlargement).
"""

import copy
import json
import logging
import os
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from meronym.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from meronym.collections import open_collection
from meronym.edits import Edits, hex_of
from meronym.files import replace_durably
from meronym.images import crop_photo
from meronym.model import PartModel, to_tensor
from meronym.segmenters import DeepLab, HeadSegmenter, Segmenter, Student

LEAST_EQUAL = 0.999
"""The share of pixels on which the file must give the same part as the model."""
MOST_BYTES = 2_000_000_000
"""Of the weights of one ONNX file."""


class CannotExport(ValueError):
    """A model that cannot be written for elsewhere: one line that says why, and what to do."""


class Plain(nn.Module):
    """A copy of a segmenter as a function of the photo alone, in float32 on the CPU."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = copy.deepcopy(segmenter).cpu().eval()
        if isinstance(self.segmenter, HeadSegmenter):
            self.segmenter.backbone.precision = "fp32"
        if isinstance(self.segmenter, Student):
            self.segmenter.network.stages.precision = "fp32"

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, ...]:
        if isinstance(self.segmenter, DeepLab):
            return (self.segmenter(images),)
        logits, objects = self.segmenter.segment(images)
        return (logits,) if objects is None else (logits, objects)


def export_onnx(
    model: PartModel, path: str | Path, edits: Edits | None = None, photos: Sequence[Image.Image] = ()
) -> float:
    """Write a model as ONNX; returns the share of pixels on which the file gives the same part as the model.

    Both are asked at the network's input size, in float32, in batches of one and of all photos. The file appears
    whole, and only if that share is at least `LEAST_EQUAL`.

    Args:
        model: the model.
        path: the file to write, .onnx.
        edits: names, colours and merged parts, for the metadata.
        photos: what to check it on; drawn creatures by default.

    Raises:
        CannotExport: the extra `export` is not installed, the name does not end in .onnx or its folder is not there,
            the network cannot be written or has more than 2 GB, or the file would give other parts than the model.
    """
    path = Path(path)
    if path.suffix.lower() != ".onnx":
        raise CannotExport(f"{path}: end the name in .onnx")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise CannotExport(f"{path}: give a file in a folder that is there")
    runtime = _need("onnxruntime")
    _need("onnxscript")
    photos = photos or [sample.image for sample in open_collection("toy:6", seed=0)]
    plain, size = Plain(model.segmenter), model.segmenter.size
    total = sum(4 * tensor.numel() for tensor in plain.state_dict().values())
    if total > MOST_BYTES:
        raise CannotExport(
            f"{path}: an ONNX file holds 2 GB, the network has {total / 1e9:.1f}; use a smaller backbone"
        )
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.onnx")
    try:
        program = _trace(plain, size, finds=model.segmenter.finds)
        program.model.metadata_props.update(metadata(model, edits or Edits()))
        program.save(unfinished, external_data=False)
        session = runtime.InferenceSession(str(unfinished), providers=["CPUExecutionProvider"])
        equal = agreement(session, plain, [crop_photo(p, (0, 0, *p.size), (size, size)) for p in photos])
        if equal < LEAST_EQUAL:
            raise CannotExport(
                f"{path}: not written, the file would give another part than the model on {100 * (1 - equal):.2f} % of "
                f"pixels; another version of onnxscript or onnxruntime may do better"
            )
        replace_durably(unfinished, path)
    except torch.onnx.OnnxExporterError as error:
        raise CannotExport(f"{path}: PyTorch cannot write this network as ONNX; use another backbone") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return equal


def metadata(model: PartModel, edits: Edits) -> dict[str, str]:
    """What the file says of itself."""
    segmenter = model.segmenter
    of = {member: part for part in edits.shown(model.names) for member in part.members}
    outputs = model.merge or range(model.parts)
    parts = [{"name": of[k + 1].name, "colour": hex_of(of[k + 1])} for k in outputs]
    norm: Any = getattr(segmenter, "backbone", getattr(getattr(segmenter, "network", None), "stages", None))
    mean = IMAGENET_MEAN if norm is None else norm.mean.flatten().tolist()
    std = IMAGENET_STD if norm is None else norm.std.flatten().tolist()
    return {
        "meronym": version("meronym"),
        "parts": json.dumps(parts),
        "size": str(segmenter.size),
        "range": "RGB in [0, 1]; normalised inside with mean and std",
        "window": "the smallest square around the object" if segmenter.zoom else "the whole photo",
        "mean": json.dumps([round(value, 6) for value in mean]),
        "std": json.dumps([round(value, 6) for value in std]),
        "align_corners": json.dumps(segmenter.corners),
    }


@torch.inference_mode()
def agreement(session: Any, plain: Plain, photos: Sequence[Image.Image]) -> float:
    """The share of pixels, at the network's input size, on which both give the same part (or none)."""
    images = torch.stack([to_tensor(photo) for photo in photos])
    same = total = 0
    for batch in (images[:1], images):  # the network was traced on two
        theirs = [torch.from_numpy(found) for found in session.run(None, {"images": batch.numpy()})]
        equal = _labels(plain(batch), plain.segmenter) == _labels(theirs, plain.segmenter)
        same, total = same + int(equal.sum()), total + equal.numel()
    return same / total


def _labels(found: Sequence[Tensor], segmenter: Segmenter) -> Int[Tensor, "B H W"]:
    """The part of each pixel of the input, 0 outside the object."""
    side = (segmenter.size, segmenter.size)
    labels = F.interpolate(found[0], side, mode="bilinear", align_corners=segmenter.corners).argmax(1) + 1
    return labels if len(found) == 1 else labels * (F.interpolate(found[1][:, None], side, mode="bilinear")[:, 0] > 0.5)


def _trace(plain: Plain, size: int, finds: bool) -> Any:
    """The network as an ONNX program with a free batch size; the exporter's own remarks are kept quiet."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return torch.onnx.export(
                plain,
                (torch.rand(2, 3, size, size),),
                dynamo=True,
                verbose=False,
                input_names=["images"],
                output_names=["logits", *["object"] * finds],
                dynamic_shapes={"images": {0: "batch"}},
            )
    finally:
        log.setLevel(level)


def _need(library: str) -> Any:
    try:
        return import_module(library)
    except ImportError as error:
        raise CannotExport(f'ONNX needs {library}, which is not installed: pip install "meronym[export]"') from error
