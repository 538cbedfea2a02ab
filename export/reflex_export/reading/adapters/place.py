"""Where a policy's adapter and its base model lie, and what has to be asked first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.export_options import AdapterUse
from reflex_export.errors import CheckpointError, SourceError
from reflex_export.reading.adapters.adapter_config import ADAPTER_CONFIG_FILE
from reflex_export.reading.files import at_home, is_folder, read_object, typed
from reflex_export.reading.processors import PREPROCESSOR_FILE
from reflex_export.reading.source import Hub, Source, fetched, in_folder, is_hub_id
from reflex_export.reading.tensors import INDEX_FILE, WEIGHTS_FILE

__all__ = ["ADAPTER_FILE", "AdapterPlace", "AdapterUse", "find_adapter", "settings_folder"]

ADAPTER_FILE: Final = "adapter_model.safetensors"
_PICKLED_FILE: Final = "adapter_model.bin"


@dataclass(frozen=True)
class AdapterPlace:
    """An adapter that is to be merged."""

    folder: Path
    """With adapter_config.json."""
    base: Source
    """Whose weights it belongs to; of the same folder where they lie beside it."""
    is_inside: bool = False
    """Its tensors stand among those weights."""

    @property
    def others(self) -> tuple[Path, ...]:
        """Where a file is looked for that the adapter's own folder lacks."""
        return () if self.base.folder == self.folder else (self.base.folder,)


def find_adapter(found: Source, *, use: AdapterUse | None, base: str | None, hub: Hub) -> AdapterPlace | None:
    """None when the folder holds a whole policy, or `use` says so; `CheckpointError` when that has to be said."""
    folder = found.folder
    if use == "ignore":
        _require_whole(folder, base)
        return None
    if not any(found.has(name) for name in (ADAPTER_CONFIG_FILE, ADAPTER_FILE, _PICKLED_FILE)):
        if use is not None or base is not None:
            option = "--base" if base is not None else "--adapter"
            raise CheckpointError(f"{folder} holds no adapter ({ADAPTER_CONFIG_FILE}); leave {option} out")
        return None
    _require_files(found, needs_adapter=base is not None)
    if not (folder / ADAPTER_FILE).is_file():
        return AdapterPlace(folder, found, is_inside=True)
    if base is None and _has_weights(folder):
        return _beside_weights(found, use)
    return AdapterPlace(folder, _base(folder, base, hub))


def settings_folder(folder: Path, adapted: AdapterPlace | None) -> Path:
    """Where config.json and the processor files are read: the base model's only if the adapter has none of them."""
    if adapted is None or adapted.base.folder == folder:
        return folder
    if not (folder / "config.json").is_file():
        return adapted.base.folder
    if not (folder / PREPROCESSOR_FILE).is_file():
        raise SourceError(
            f"{folder} has a config.json but no {PREPROCESSOR_FILE}, so it is unknown with which statistics the "
            "adapter was trained: fetch the policy_*processor* files of its training into it"
        )
    return folder


def _require_whole(folder: Path, base: str | None) -> None:
    if base is not None:
        raise CheckpointError(f"--adapter ignore merges nothing, so there is no use for --base {base}; leave one out")
    if not _has_weights(folder):
        raise CheckpointError(f"{folder} holds no {WEIGHTS_FILE}, so without its adapter nothing is left to export")


def _require_files(found: Source, *, needs_adapter: bool) -> None:
    folder = found.folder
    if not (folder / ADAPTER_CONFIG_FILE).is_file():
        raise SourceError(
            f"{folder} holds an adapter without {ADAPTER_CONFIG_FILE}, which says how strongly it counts: fetch that "
            f"file too{_or_ignore(folder)}"
        )
    if (folder / ADAPTER_FILE).is_file():
        return
    if found.has(_PICKLED_FILE):
        raise SourceError(
            f"{folder / _PICKLED_FILE} is an adapter in a pickle, which is never read: load it with PEFT where you "
            f"trust it and save it with safe_serialization=True{_or_ignore(folder)}"
        )
    if _has_weights(folder) and not needs_adapter:
        return
    raise SourceError(
        f"{folder} is to hold an adapter of {_named_base(folder)} and lacks {ADAPTER_FILE}; fetch that file too"
    )


def _beside_weights(found: Source, use: AdapterUse | None) -> AdapterPlace:
    if use == "merge":
        return AdapterPlace(found.folder, found)
    raise CheckpointError(
        f"{found.folder} holds an adapter (of {_named_base(found.folder)}) beside {WEIGHTS_FILE}, which may be its "
        "base model or the policy that it was merged into: --adapter merge merges it into these weights, --adapter "
        "ignore exports them as they are, and --base names another base model"
    )


def _has_weights(folder: Path) -> bool:
    return any((folder / name).exists() for name in (WEIGHTS_FILE, INDEX_FILE))


def _or_ignore(folder: Path) -> str:
    return ", or export the weights as they are with --adapter ignore" if _has_weights(folder) else ""


def _named_base(folder: Path) -> str:
    named = typed(
        read_object(folder / ADAPTER_CONFIG_FILE), "base_model_name_or_path", str, ADAPTER_CONFIG_FILE, default=""
    )
    return named or "an unnamed base model"


def _base(folder: Path, given: str | None, hub: Hub) -> Source:
    values = read_object(folder / ADAPTER_CONFIG_FILE)
    named = typed(values, "base_model_name_or_path", str, ADAPTER_CONFIG_FILE, default="")
    name = given or named
    if not name:
        raise SourceError(f"{ADAPTER_CONFIG_FILE} does not name the adapter's base model; give its folder as --base")
    found = next(map(in_folder, _local(folder, name)), None)
    if found is None:
        revision = typed(values, "revision", str, ADAPTER_CONFIG_FILE, default="") if not given else ""
        found = _from_hub(folder, name, revision or None, hub)
    if found.folder.resolve() != folder.resolve() and (found.folder / ADAPTER_CONFIG_FILE).is_file():
        raise CheckpointError(
            f"{found.folder}, the base model of the adapter in {folder}, has an adapter too; merge that one first with "
            "PEFT's merge_and_unload and give the result as --base"
        )
    return found


def _local(folder: Path, name: str) -> Iterator[Path]:
    """As training saw it, or beside the adapter."""
    return (path for path in (at_home(name), folder / name) if is_folder(path))


def _from_hub(folder: Path, name: str, revision: str | None, hub: Hub) -> Source:
    if not is_hub_id(name):
        raise SourceError(
            f"{folder} holds an adapter of {name!r:.200}, which is not here; give that base model's folder as --base"
        )
    try:
        return fetched(name, revision, hub)
    except SourceError as exc:
        raise SourceError(f"{folder} holds an adapter of {name}: {exc}, as --base") from exc
