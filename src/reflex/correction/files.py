"""A head as two files: the tensors in `<name>.safetensors`, and what they are in `<name>.json` beside them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from reflex.correction.description import HeadDescription
from reflex.correction.head import CorrectionHead
from reflex.correction.tensors import Array, tensors_from_bytes, tensors_to_bytes
from reflex.durable_files import replace_file
from reflex.errors import SetupError

__all__ = ["head_paths", "read_head", "weights_hash", "write_head"]

SUFFIXES: Final = (".safetensors", ".json")
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""Of heads for the longest states some hundred times; a file of weights of another kind is not read whole."""
HOW: Final = "`reflex train a2c2` makes one"


def head_paths(path: Path) -> tuple[Path, Path]:
    """The tensors and the description of a head, by the name of either; `SetupError` for another kind of name."""
    if path.suffix not in SUFFIXES:
        raise SetupError(f"{path}: a correction head is named like head.safetensors, with head.json beside it")
    return path.with_suffix(".safetensors"), path.with_suffix(".json")


def weights_hash(tensors: dict[str, Array]) -> str:
    """As a description says it."""
    return f"sha256:{hashlib.sha256(tensors_to_bytes(tensors)).hexdigest()}"


def write_head(path: Path, head: CorrectionHead) -> None:
    """Both files; whoever reads in between sees that they do not belong together. `SetupError` where that fails."""
    tensors, description = head_paths(path)
    try:
        replace_file(tensors, tensors_to_bytes(head.tensors))
        replace_file(description, head.description.model_dump_json(indent=2).encode() + b"\n")
    except OSError as exc:
        raise SetupError(f"{path} cannot be written ({exc.strerror}); choose another file") from exc


def read_head(path: Path) -> CorrectionHead:
    """`SetupError` says what is wrong with which file."""
    tensors_path, description_path = head_paths(path)
    description = _description(description_path)
    content = _content(tensors_path)
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != description.weights_hash:
        raise SetupError(f"{tensors_path} is not what {description_path.name} describes; copy both files of one head")
    try:
        return CorrectionHead(description, tensors_from_bytes(content))
    except ValueError as exc:
        raise SetupError(f"{tensors_path} is no correction head: {exc}; {HOW}") from exc


def _description(path: Path) -> HeadDescription:
    try:
        return HeadDescription.model_validate_json(_content(path))
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise SetupError(f"{path} describes no correction head: {where}: {first['msg']}; {HOW}") from exc


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise SetupError(f"{path} cannot be read ({exc.strerror}); {HOW}") from exc
    if len(content) > MAX_FILE_BYTES:
        raise SetupError(f"{path} is too large for a correction head; {HOW}")
    return content
