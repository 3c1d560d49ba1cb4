"""The model hub: publish a model with a card, fetch one that somebody published.

A model on the hub is three files and its card: config.json and model.safetensors as in a run (a frozen backbone is
named, not copied), and edits.json with the names, colours and merged parts. No photo, and no photo's name, goes there.
"""

import json
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from meronym.backbones import BACKBONES
from meronym.edits import FILE, Edits
from meronym.files import write_atomically
from meronym.model import PartModel

FILES = ["config.json", "model.safetensors", FILE]


class HubError(ValueError):
    """The hub cannot be reached, or has no such model: one line that says what to do."""


def push_to_hub(model: PartModel, repo: str, edits: Edits | None = None, *, private: bool = False) -> str:
    """Publish a model as user/name, with a card; returns its address. What was there under that name is replaced.

    Args:
        model: the model.
        repo: user/name.
        edits: names, colours and merged parts that go with it.
        private: open to nobody else.

    Raises:
        HubError: not a name of the form user/name, nobody is logged in, the hub cannot be reached, or what was to be
            private is there already and open to all.
    """
    from huggingface_hub import HfApi

    _checked(repo)
    with tempfile.TemporaryDirectory() as temporary:
        folder = export_folder(model, Path(temporary) / "model", edits, f"hf:{repo}")
        try:
            api = HfApi(endpoint=_endpoint())
            address = str(api.create_repo(repo, private=private, exist_ok=True))
            if private and not api.repo_info(repo).private:
                raise HubError(f"hf:{repo} is there already, open to all: make it private there, or choose another")
            api.upload_folder(repo_id=repo, folder_path=folder, commit_message="A part model of Meronym")
        except HubError:
            raise
        except Exception as error:  # of several libraries
            why = _why(error, "connect, or unset HF_HUB_OFFLINE; `meronym export RUN --folder` needs no hub")
            raise HubError(f"hf:{repo}: {why}") from error
    return address


def fetch(address: str) -> Path:
    """The folder of a model on the hub, "hf:user/name" or "hf:user/name@revision"; downloaded once.

    Raises:
        HubError: there is none, or it was not fetched before and the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    repo, _, revision = address.removeprefix("hf:").partition("@")
    _checked(repo)
    try:
        folder = Path(snapshot_download(repo, revision=revision or None, allow_patterns=FILES, endpoint=_endpoint()))
    except Exception as error:  # of several libraries
        why = _why(error, "connect, unset HF_HUB_OFFLINE, or give the folder of a copy (config.json, ...) in its place")
        raise HubError(f"{address}: {why}") from error
    config = folder / "config.json"
    if not config.exists() or "segmenter" not in json.loads(config.read_text(encoding="utf-8")):
        raise HubError(f"{address}: it is no model of Meronym; check the name")
    return folder


def export_folder(model: PartModel, folder: str | Path, edits: Edits | None = None, address: str | None = None) -> Path:
    """Write what goes on the hub as a folder, which `meronym.load` opens too; returns it.

    Args:
        model: the model.
        folder: a new folder, or an empty one.
        edits: names, colours and merged parts that go with it; photos marked as wrong do not.
        address: what its card says to load, "hf:user/name"; the folder's name by default.

    Raises:
        FileExistsError: there is something in the folder.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not empty: choose a new folder")
    about = {key: value for key, value in model.about.items() if key != "skipped"}  # those are names of photos
    replace(model, about=about).save(folder)
    kept = replace(edits or Edits(), wrong=frozenset())
    kept.save(folder)
    write_atomically(folder / "README.md", _card(model, address or folder.absolute().name, kept))
    return folder


def _card(model: PartModel, address: str, edits: Edits) -> str:
    backbone = str(model.segmenter.config().get("backbone", "ResNet-50, trained with the model (DeepLab-v2)"))
    known = BACKBONES.get(backbone)
    names = [_plain(part.name) for part in edits.shown(model.names)]
    return f"""---
library_name: meronym
pipeline_tag: image-segmentation
tags: [meronym, part-discovery, unsupervised]
---

# {_plain(address.rpartition("/")[2])}

Cuts photos of one kind of thing into {len(names)} parts that were found without part labels. A model of the Python
package Meronym.

| | |
|---|---|
| parts | {", ".join(names)} |
| method | {model.about.get("method", "unknown")} |
| backbone | {backbone} |
| licence of its weights | {known.licence if known else "see their source"} |
| input | RGB, {model.segmenter.size} pixels |

```python
import meronym

model = meronym.load("{address}")
model.predict("photo.jpg").plot().save("parts.png")
```

`meronym predict {address} my/photos --out parts --format coco` labels whole folders under the part names above.
"""


def _plain(text: str) -> str:
    """A name inside Markdown: nothing in it is markup."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&-])", r"\\\1", text)


def _checked(repo: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", repo, re.ASCII):
        raise HubError(f"hf:{repo}: the name of a model on the hub is user/name")


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _why(error: Exception, remedy: str) -> str:
    """What went wrong on the hub in one line; `remedy`: what to do where it cannot be reached."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403, 404):
        return "not there, or not open to you; check the name, and log in with `hf auth login`"
    transport = type(error).__module__.startswith("httpx")  # whichever of its versions the hub's client uses
    if status is None and (isinstance(error, OSError) or transport):
        return f"the hub cannot be reached; {remedy}"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
