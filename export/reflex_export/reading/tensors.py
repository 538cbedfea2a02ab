"""A checkpoint's weights: memory-mapped safetensors, in one file or in shards. Nothing is ever unpickled."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex_export.errors import MissingTensorError, SourceError, TensorFileError, UnsupportedOptionError
from reflex_export.reading.files import POINTER_BEGIN, is_file, plain_name, read_object, refuse_pointer
from reflex_export.reading.header import DTYPES, LENGTH_BYTES, Header, TensorEntry, header_length, parse_header
from reflex_export.reading.mapping import map_file

__all__ = [
    "INDEX_FILE",
    "WEIGHTS_FILE",
    "SafetensorsTensors",
    "open_file",
    "open_weights",
    "refuse_integers",
    "weights_files",
]

WEIGHTS_FILE: Final = "model.safetensors"
INDEX_FILE: Final = "model.safetensors.index.json"
WRAPPINGS: Final = ("_orig_mod.", "module.")
PICKLE_SUFFIXES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
PICKLE_MAGICS: Final = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""A torch archive (zip) and the pickle protocols; none is a header length that a small file could have."""


@dataclass(frozen=True)
class _Place:
    """Where one tensor lies."""

    content: npt.NDArray[np.uint8]
    entry: TensorEntry


@dataclass(frozen=True)
class SafetensorsTensors:
    """The `TensorSource` of a folder. Views keep their file mapped; a file must not shrink while it is in use."""

    origin: str
    places: Mapping[str, _Place]
    wrapping: str = ""
    """What every name in the file begins with and none here: torch.compile and DataParallel put it there."""

    def names(self) -> frozenset[str]:
        return frozenset(self.places)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._place(name).entry.shape

    def dtype(self, name: str) -> str:
        """As the file names it: `F32`, `BF16`, ..."""
        return self._place(name).entry.dtype

    def stored_bytes(self, name: str) -> int:
        entry = self._place(name).entry
        return entry.end - entry.begin

    def load(self, name: str) -> npt.NDArray[Any]:
        """A read-only view of the file; its address need not be aligned to its type."""
        place = self._place(name)
        raw = place.content[place.entry.begin : place.entry.end]
        return raw.view(DTYPES[place.entry.dtype]).reshape(place.entry.shape)

    def _place(self, name: str) -> _Place:
        try:
            return self.places[name]
        except KeyError:
            near = difflib.get_close_matches(name, self.places, n=1)
            hint = f"; the nearest name there is {near[0]}" if near else ""
            raise MissingTensorError(
                f"{self.origin} has no tensor {name}{hint}. The checkpoint is incomplete or of another version: "
                "fetch it again, or save it again with a current lerobot"
            ) from None


def open_file(path: Path) -> SafetensorsTensors:
    """Map one safetensors file."""
    return SafetensorsTensors(str(path), _places(path))


def open_weights(folder: Path, unfetched: Collection[str] = ()) -> SafetensorsTensors:
    """Map `model.safetensors` or, without one, the shards that its index names.

    `unfetched` are files that the folder's repository has besides, which may say why there is neither.
    """
    return _unwrapped(_open_weights(folder, unfetched))


def _open_weights(folder: Path, unfetched: Collection[str]) -> SafetensorsTensors:
    if (folder / WEIGHTS_FILE).exists():
        return open_file(folder / WEIGHTS_FILE)
    if (folder / INDEX_FILE).exists():
        return _open_shards(folder)
    _refuse_pickles(folder, unfetched)
    raise SourceError(
        f"{folder} holds neither {WEIGHTS_FILE} nor {INDEX_FILE}, the only weights that are read; fetch them into it"
    )


def _unwrapped(tensors: SafetensorsTensors) -> SafetensorsTensors:
    for wrapping in WRAPPINGS:
        if tensors.places and all(name.startswith(wrapping) for name in tensors.places):
            bare = {name.removeprefix(wrapping): place for name, place in tensors.places.items()}
            inner = _unwrapped(SafetensorsTensors(tensors.origin, bare))
            return replace(inner, wrapping=wrapping + inner.wrapping)
    return tensors


def refuse_integers(name: str, weight: npt.NDArray[Any]) -> None:
    """`UnsupportedOptionError` for a weight in whole numbers: quantised, by a scale that nobody here knows."""
    if weight.dtype.kind in "iub":
        raise UnsupportedOptionError(
            f"{name} is stored as {weight.dtype.name}, and whole numbers are no weights without the scale that they "
            "were quantised by: save the policy in float32, float16 or bfloat16"
        )


def weights_files(folder: Path) -> frozenset[Path]:
    """The files that `open_weights` reads."""
    if (folder / WEIGHTS_FILE).exists():
        return frozenset({folder / WEIGHTS_FILE})
    return frozenset(folder / name for name in (INDEX_FILE, *_shards(folder).values()))


def _shards(folder: Path) -> dict[str, str]:
    """The shard of each tensor."""
    index = folder / INDEX_FILE
    shard_of = read_object(index).get("weight_map")
    if not isinstance(shard_of, dict) or not all(isinstance(shard, str) for shard in shard_of.values()):
        raise TensorFileError(f"{index}: weight_map must map tensor names to file names; fetch it again")
    return {name: plain_name(shard, suffix=".safetensors", origin=str(index)) for name, shard in shard_of.items()}


def _open_shards(folder: Path) -> SafetensorsTensors:
    index, shard_of = folder / INDEX_FILE, _shards(folder)
    by_shard = {shard: _places(_existing(folder / shard, index)) for shard in sorted(set(shard_of.values()))}
    for name, shard in shard_of.items():
        if name not in by_shard[shard]:
            raise MissingTensorError(f"{folder / shard} lacks {name}, which {index.name} says it holds; fetch it again")
    return SafetensorsTensors(str(folder), _union(by_shard, folder))


def _existing(path: Path, index: Path) -> Path:
    if not is_file(path):
        raise SourceError(f"{path} is missing, though {index.name} names it; fetch the whole checkpoint")
    return path


def _union(by_shard: Mapping[str, Mapping[str, _Place]], folder: Path) -> dict[str, _Place]:
    places: dict[str, _Place] = {}
    for shard, tensors in by_shard.items():
        twice = places.keys() & tensors.keys()
        if twice:
            raise TensorFileError(f"{folder / shard}: {min(twice)} lies in another shard as well; fetch them again")
        places.update(tensors)
    return places


def _places(path: Path) -> dict[str, _Place]:
    header, content = _map(path)
    return {name: _Place(content, entry) for name, entry in header.tensors.items()}


def _map(path: Path) -> tuple[Header, npt.NDArray[np.uint8]]:
    """The header and the whole file's bytes, read-only."""
    try:
        with path.open("rb") as file:
            prefix = file.read(LENGTH_BYTES)
            file_bytes = path.stat().st_size
            _refuse_disguise(prefix, path)
            refuse_pointer(prefix + file.read(len(POINTER_BEGIN)), path)
            file.seek(len(prefix))
            text = file.read(header_length(prefix, file_bytes, str(path)))
            header = parse_header(text, file_bytes, str(path))
            content = map_file(file, file_bytes)
    except OSError as exc:
        raise SourceError(f"{path} cannot be read ({exc.strerror}); fetch the checkpoint again") from exc
    return header, content


def _refuse_disguise(prefix: bytes, path: Path) -> None:
    if prefix.startswith(PICKLE_MAGICS) and int.from_bytes(prefix, "little") > path.stat().st_size:
        raise _pickled([path])


def _refuse_pickles(folder: Path, unfetched: Collection[str]) -> None:
    there = {*folder.iterdir(), *(folder / name for name in unfetched if "/" not in name)}
    pickles = [path for path in sorted(there) if path.suffix in PICKLE_SUFFIXES]
    if pickles:
        raise _pickled(pickles)


def _pickled(paths: Iterable[Path]) -> TensorFileError:
    names = ", ".join(str(path) for path in paths)
    return TensorFileError(
        f"{names}: pickled weights are never read, since unpickling runs whatever code the file holds. "
        f"Save the policy as {WEIGHTS_FILE} where you trust it (lerobot's save_pretrained does)"
    )
