"""What is called how in a model repository, for whoever writes one and whoever serves from it.

<repository>/<policy>/   reflex_config.json, config.pbtxt, and what they name; embodiment.json if it is its own
<repository>/<model>/    config.pbtxt, 1/model.onnx, and 1/model.cuda.onnx where CUDA has a form of its own
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from reflex.errors import RepositoryError, SetupError

__all__ = [
    "CONFIG_FILE",
    "CUDA_MODEL_FILE",
    "EMBODIMENT_FILE",
    "MODEL_FILE",
    "NAMED_ONLY",
    "TRITON_CONFIG_FILE",
    "VERSION_FOLDER",
    "cuda_model_file",
    "model_file",
    "one_policy_of",
    "policies_of",
    "policy_folder",
    "some_policies_of",
    "what_it_is_instead",
]

CONFIG_FILE: Final = "reflex_config.json"
EMBODIMENT_FILE: Final = "embodiment.json"
"""Beside it, when the embodiment is none of those that come with Reflex."""
TRITON_CONFIG_FILE: Final = "config.pbtxt"
VERSION_FOLDER: Final = "1"
"""The only version of each model: an export puts another in its place instead of a second beside it."""
CHECKPOINT_FILE: Final = "config.json"
"""What marks the folder that a policy was trained in."""
MODEL_FILE: Final = "model.onnx"
CUDA_MODEL_FILE: Final = "model.cuda.onnx"
"""The same function in the form that is fastest in ONNX Runtime on CUDA; no other runtime may open it."""
NAMED_ONLY: Final = frozenset({"pick_up_the_cube", "sim_demo"})
"""Lie beside the demo policy in every Reflex, and are meant where somebody names one, or where there is no other."""


def model_file(repository: Path, model: str) -> Path:
    """The graph of one model, by the name that it has on Triton."""
    return repository / model / VERSION_FOLDER / MODEL_FILE


def cuda_model_file(repository: Path, model: str) -> Path | None:
    """Its form for ONNX Runtime on CUDA, where it has one of its own."""
    path = model_file(repository, model).with_name(CUDA_MODEL_FILE)
    return path if path.is_file() else None


def policies_of(repository: Path) -> list[str]:
    """The names of the policies that lie in a model repository, sorted; none for what is no folder."""
    return sorted(path.parent.name for path in repository.glob(f"*/{CONFIG_FILE}"))


def some_policies_of(repository: Path) -> list[str]:
    """The same where there must be some: `RepositoryError` says how one is made."""
    names = policies_of(repository)
    if not names:
        found = what_it_is_instead(repository)
        reason = found or f"{repository} holds no policy; make one with `reflex export` or `make demo-policy`"
        raise RepositoryError(reason)
    return names


def policy_folder(repository: Path, name: str) -> Path:
    """Where the policy of that name lies; `SetupError` for what is no name but a path."""
    if name in {"", ".", ".."} or Path(name).name != name or not name.isprintable():
        raise SetupError("a policy is named by its folder in the model repository, not by a path")
    return repository / name


def what_it_is_instead(repository: Path) -> str | None:
    """What to do about a folder that is no model repository but something that was meant by one."""
    if (repository / CONFIG_FILE).is_file():
        whole = repository.resolve()
        return f"{repository} is the policy {whole.name} of {whole.parent}: name that folder, and --policy {whole.name}"
    if (repository / CHECKPOINT_FILE).is_file() and any(repository.glob("*.safetensors*")):
        return f"{repository} is a checkpoint, which is no model repository: make one of it with `reflex export` first"
    return None


def one_policy_of(repository: Path) -> str:
    """The policy that is meant where none was named; `SetupError` names them where there are several."""
    found = some_policies_of(repository)
    names = [name for name in found if name not in NAMED_ONLY] or found
    if len(names) > 1:
        raise SetupError(f"{repository} holds several policies: choose with --policy one of {', '.join(found)}")
    return names[0]
