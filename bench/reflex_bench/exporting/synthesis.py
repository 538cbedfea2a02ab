"""Checkpoints with random weights in the sizes of published ones, from a list of their tensors.

The list is a JSON object: `tensors` maps a name to `{"shape": [...], "dtype": "float32" | "bfloat16"}`, `config_json`
(or `config_json_defaults`) is the policy's config, `vlm_config_json` SmolVLA's second one. Processors and statistics
are those of a small checkpoint of the same family, its layout, as is what the config leaves out. The tokenizer is the
layout's with unused tokens up to the vocabulary. The weights keep activations of order one; the answers mean nothing.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

import ml_dtypes
import numpy as np
import numpy.typing as npt

__all__ = ["synthesise"]

Array = npt.NDArray[Any]

POOL_ELEMENTS: Final = 1 << 24
"""Drawn once; a tensor is cut out of it at random places, for drawing 3.6 billion numbers would take a minute."""
CHUNK_ELEMENTS: Final = 1 << 22
CAMERAS: Final = ("base", "left_wrist", "right_wrist")
"""Of a policy whose config names none: as many as pi was trained with."""
STORED: Final[Mapping[str, tuple[str, npt.DTypeLike]]] = {
    "float32": ("F32", np.float32),
    "float16": ("F16", np.float16),
    "bfloat16": ("BF16", ml_dtypes.bfloat16),
}


def synthesise(listed: Mapping[str, Any], layout: Path, folder: Path, *, seed: int = 0) -> Path:
    """Write a whole checkpoint into `folder`; the same list and seed give the same bytes. Returns `folder`."""
    folder.mkdir(parents=True)
    config = _config(listed, json.loads((layout / "config.json").read_text()))
    _write_json(folder / "config.json", config)
    _write_processors(folder, layout, config)
    _write_tokenizer(folder / "tokenizer", layout / "tokenizer", _rows(listed), _image_id(listed))
    if "vlm_config_json" in listed:
        (folder / "vlm").mkdir()
        _write_json(folder / "vlm" / "config.json", listed["vlm_config_json"])
    with (folder / "model.safetensors").open("wb") as file:
        _write_tensors(file, listed["tensors"], np.random.Generator(np.random.SFC64(seed)))
    return folder


def _config(listed: Mapping[str, Any], small: Mapping[str, Any]) -> dict[str, Any]:
    """The published config; what it does not say, the small checkpoint's says."""
    config = {**small, **listed.get("config_json_defaults", {}), **listed.get("config_json", {})}
    if "input_features" not in listed.get("config_json", {}):
        shape = [3, *config["image_resolution"]]
        cameras = {f"observation.images.{name}": {"type": "VISUAL", "shape": shape} for name in CAMERAS}
        config["input_features"] = {"observation.state": small["input_features"]["observation.state"], **cameras}
    if "vlm_config_json" in listed:
        config["vlm_model_name"] = "./vlm"
    return config


def _write_processors(folder: Path, layout: Path, config: Mapping[str, Any]) -> None:
    normalization = {
        "features": {**config["input_features"], **config["output_features"]},
        "norm_map": config["normalization_mapping"],
    }
    settings = {
        "tokenizer_processor": {"max_length": config["tokenizer_max_length"]},
        "normalizer_processor": normalization,
        "unnormalizer_processor": normalization,
    }
    for path in layout.glob("policy_*processor.json"):
        pipeline = json.loads(path.read_text())
        for step in pipeline["steps"]:
            step["config"].update(settings.get(step["registry_name"], {}))
        _write_json(folder / path.name, pipeline)
    for path in layout.glob("policy_*processor*.safetensors"):
        shutil.copyfile(path, folder / path.name)


def _rows(listed: Mapping[str, Any]) -> int:
    """Of the text embedding, which has the most of all tensors."""
    return max(int(tensor["shape"][0]) for tensor in listed["tensors"].values() if len(tensor["shape"]) == 2)


def _image_id(listed: Mapping[str, Any]) -> int | None:
    found = listed.get("vlm_config_json", {}).get("image_token_id")
    return None if found is None else int(found)


def _write_tokenizer(folder: Path, layout: Path, rows: int, image_id: int | None) -> None:
    """The small vocabulary, filled up with tokens that no text contains; `<image>` moves where the VLM has it."""
    # Contents only: the layout may be read-only.
    shutil.copytree(layout, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    tokenizer = json.loads((layout / "tokenizer.json").read_text())
    vocabulary: dict[str, int] = tokenizer["model"]["vocab"]
    if image_id is not None:
        vocabulary["<image>"] = image_id
        for token in tokenizer["added_tokens"]:
            token["id"] = image_id if token["content"] == "<image>" else token["id"]
    taken = set(vocabulary.values())
    vocabulary |= {f"<unused{number}>": number for number in range(rows) if number not in taken}
    tokenizer["model"]["vocab"] = dict(sorted(vocabulary.items(), key=lambda item: item[1]))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")


def _write_tensors(file: IO[bytes], tensors: Mapping[str, Any], random: np.random.Generator) -> None:
    header = json.dumps(_header(tensors)).encode()
    header += b" " * (-len(header) % 8)
    file.write(len(header).to_bytes(8, "little") + header)
    pool = random.standard_normal(POOL_ELEMENTS + CHUNK_ELEMENTS, np.float32)
    for name, tensor in tensors.items():
        for piece in _pieces(name, tuple(tensor["shape"]), pool, random):
            file.write(piece.astype(STORED[tensor["dtype"]][1]).tobytes())


def _header(tensors: Mapping[str, Any]) -> dict[str, Any]:
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, tensor in tensors.items():
        stored_as, dtype = STORED[tensor["dtype"]]
        end = position + math.prod(tensor["shape"]) * np.dtype(dtype).itemsize
        entries[name] = {"dtype": stored_as, "shape": tensor["shape"], "data_offsets": [position, end]}
        position = end
    return entries


def _pieces(name: str, shape: tuple[int, ...], pool: Array, random: np.random.Generator) -> Iterator[Array]:
    """The tensor's values, flat, float32."""
    mean, std = _distribution(name, shape)
    for start in range(0, math.prod(shape), CHUNK_ELEMENTS):
        count = min(CHUNK_ELEMENTS, math.prod(shape) - start)
        begin = int(random.integers(POOL_ELEMENTS))
        yield pool[begin : begin + count] * np.float32(std) + np.float32(mean)


def _distribution(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Mean and standard deviation. Gemma's norms add 1 to their weight, the others do not."""
    if len(shape) == 1:
        is_gemma = "paligemma_with_expert" in name and "vision_tower" not in name
        return (0.0 if is_gemma or name.endswith(".bias") else 1.0), 0.1
    return 0.0, math.prod(shape[1:]) ** -0.5


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
