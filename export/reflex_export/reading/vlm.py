"""SmolVLA's second config: head counts, patch size and scale factor lie in the VLM's own config.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex_export.configs.vlm import VlmConfig, parse_vlm_config
from reflex_export.errors import CheckpointError, SourceError
from reflex_export.reading.files import is_file, read_object
from reflex_export.reading.source import Hub, is_hub_id
from reflex_export.reading.tokenizer import TOKENIZER_FILES

__all__ = ["Vlm", "find_vlm"]

_FILES: Final = ("config.json", *TOKENIZER_FILES)


@dataclass(frozen=True)
class Vlm:
    """The VLM that the policy was made from; its weights are the policy's own."""

    folder: Path
    config: VlmConfig


def find_vlm(folder: Path, name: str, *, given: Path | None, hub: Hub, beside: Sequence[Path] = ()) -> Vlm:
    """The one given, else `name` (vlm_model_name) inside the checkpoint, `vlm/`, both in `beside`, or the hub's."""
    inside = (_inside(place, name) for place in (folder, *beside))
    found = _given(given) if given is not None else next(filter(None, inside), None) or _from_hub(folder, name, hub)
    path = found / "config.json"
    return Vlm(found, parse_vlm_config(read_object(path), str(path)))


def _given(path: Path) -> Path:
    folder = path if path.is_dir() else path.parent
    if not (folder / "config.json").is_file():
        raise SourceError(f"--vlm {path} has no config.json; give the folder that holds the VLM's")
    return folder


def _inside(folder: Path, name: str) -> Path | None:
    is_inside = not Path(name).is_absolute() and ".." not in Path(name).parts
    candidates = [folder / "vlm", *([folder / name] if is_inside else [])]
    # "." would be the policy's own config.json.
    return next((path for path in candidates[::-1] if path != folder and is_file(path / "config.json")), None)


def _from_hub(folder: Path, name: str, hub: Hub) -> Path:
    if not is_hub_id(name):
        raise SourceError(
            f"{folder} has no VLM config at its vlm_model_name {name!r:.200}; give the folder with the VLM's "
            "config.json as --vlm"
        )
    try:
        return hub.fetch(name, None, _FILES)
    except SourceError as exc:
        raise CheckpointError(f"the policy's vlm_model_name is {name}: {exc}, as --vlm") from exc
