"""`meronym export`: a run's model, under the names that its user gave, taken elsewhere."""

from contextlib import suppress
from pathlib import Path

from PIL import Image

from meronym.edits import load
from meronym.export.hub import export_folder, push_to_hub
from meronym.export.onnx_file import export_onnx
from meronym.images import BadPhoto
from meronym.model import PartModel, run_folder
from meronym.progress import say
from meronym.training.run import Run, open_photos


def export(
    run: str | Path,
    *,
    onnx: str | Path | None = None,
    folder: str | Path | None = None,
    hub: str | None = None,
    private: bool = False,
) -> str:
    """Take a model elsewhere: as an ONNX file that is checked against it, as a folder, or to the model hub.

    The run's names, colours and merged parts go with it. Returns the file, the folder, or the address on the hub.

    Args:
        run: the run folder, or "hf:user/name" for a model on the hub.
        onnx: the file to write, model.onnx.
        folder: a new folder to write the model and its card to, as they go on the hub.
        hub: where on the hub, user/name. You must be logged in there (`hf auth login`).
        private: on the hub, open to nobody else.
    """
    if sum(given is not None for given in (onnx, folder, hub)) != 1:
        raise ValueError("export: say where to, with one of --onnx model.onnx, --folder model, --hub user/name")
    home = run_folder(run)
    model, edits = PartModel.load(home), load(home)
    if onnx is not None:
        equal = export_onnx(model, onnx, edits, _some_photos(home))
        say(f"the model is in {onnx}; it gives the same part as here on {100 * equal:.3f} % of pixels")
        return str(onnx)
    if folder is not None:
        say(f"the model is in {export_folder(model, folder, edits)}")
        return str(folder)
    address = push_to_hub(model, str(hub), edits, private=private)
    say(f"the model is at {address}")
    return address


def _some_photos(home: Path, count: int = 6) -> list[Image.Image]:
    """A few photos of a run to try its model on; none where they are not there any more."""
    found: list[Image.Image] = []
    if (home / "settings.yaml").exists():
        before = Run.read(home)
        with suppress(ValueError, OSError):
            collection = open_photos(before)
            for i in range(0, len(collection), max(1, len(collection) // count)):
                with suppress(BadPhoto):
                    found.append(collection[i].image)
    return found[:count]
