"""The names that PEFT gives to tensors, back to those of the policy.

An adapter's file has `base_model.model.<module>.lora_A.weight`; the state of a policy that still wears its adapter has
`<module>.lora_A.<adapter>.weight` beside `<module>.base_layer.weight`. Layers that were trained as a whole are
`<module>.weight` in the first, `<module>.modules_to_save.<adapter>.weight` in the second.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from reflex_export.errors import UnsupportedOptionError

__all__ = ["AdapterNames", "has_adapter_tensors", "sort_names"]

_WRAPPER: Final = "base_model.model."
_LORA: Final = re.compile(
    r"(?P<module>.+)\.(?P<part>lora_(?:A|B|embedding_A|embedding_B|magnitude_vector))"
    r"(?:\.(?!(?:weight|bias)$)(?P<adapter>[^.]+))?(?P<leaf>\.weight|\.bias)?"
)
_SAVED: Final = re.compile(
    r"(?P<module>.+)\.modules_to_save(?:\.(?!(?:weight|bias)$)(?P<adapter>[^.]+))?\.(?P<rest>.+)"
)
_REPLACED: Final = ".original_module."
_BASE: Final = ".base_layer."
_FOREIGN: Final = re.compile(r"\.(?:lora_\w+|token_adapter|trainable_tokens_\w+|base_layer|parametrizations)\.")
_KNOWN_PARTS: Final = frozenset({"lora_A", "lora_B", "lora_B.bias", "lora_embedding_A", "lora_embedding_B"})
_DORA: Final = "lora_magnitude_vector"


@dataclass(frozen=True)
class AdapterNames:
    """What the names of a file mean; every value is a name in that file."""

    modules: Mapping[str, Mapping[str, str]]
    """By module: `lora_A`, `lora_B`, `lora_B.bias`, `lora_embedding_A`, `lora_embedding_B`, `lora_magnitude_vector`."""
    whole: Mapping[str, str]
    """Tensors that are no part of an adapter, by the policy's name."""


def has_adapter_tensors(names: Iterable[str]) -> bool:
    """Whether a policy's weights still wear an adapter."""
    return any(_LORA.fullmatch(name) or _BASE in name for name in names)


def sort_names(names: Iterable[str], origin: str) -> AdapterNames:
    """Each name by what it is; `UnsupportedOptionError` for a part of another method, or of a second adapter."""
    modules: dict[str, dict[str, str]] = {}
    whole: dict[str, str] = {}
    whole_as_stored: dict[str, str] = {}
    saved: dict[str, str] = {}
    adapters: set[str] = set()
    twice: list[tuple[str, str]] = []
    for stored in sorted(names):
        name = stored.removeprefix(_WRAPPER)
        if match := _LORA.fullmatch(name):
            adapters.add(match["adapter"] or "")
            _add(modules.setdefault(match["module"], {}), _part(match, stored, origin), stored, twice)
        elif match := _SAVED.fullmatch(name):
            adapters.add(match["adapter"] or "")
            _add(saved, f"{match['module']}.{match['rest']}", stored, twice)
        else:
            _add(whole_as_stored, name, stored, twice)
            whole[_plain(name, stored, origin)] = stored  # beside a base layer's own the tuned one counts
    if len(adapters - {""}) > 1:
        raise UnsupportedOptionError(f"{origin} holds the adapters {', '.join(sorted(adapters))}; save it with one")
    if twice:
        raise UnsupportedOptionError(
            f"{origin} has one tensor twice, as {twice[0][0]} and as {twice[0][1]}; merge the adapter with PEFT's "
            "merge_and_unload, save the policy, and export that"
        )
    return AdapterNames(modules, whole | saved)


def _add(to: dict[str, str], name: str, stored: str, twice: list[tuple[str, str]]) -> None:
    if name in to:
        twice.append((to[name], stored))
    to[name] = stored


def _part(match: re.Match[str], stored: str, origin: str) -> str:
    part = match["part"] + (".bias" if match["leaf"] == ".bias" else "")
    if part not in _KNOWN_PARTS | {_DORA}:
        raise _not_merged(stored, origin)
    return part


def _plain(name: str, stored: str, origin: str) -> str:
    plain = name.replace(_REPLACED, ".").replace(_BASE, ".")
    if _FOREIGN.search(plain):
        raise _not_merged(stored, origin)
    return plain


def _not_merged(stored: str, origin: str) -> UnsupportedOptionError:
    return UnsupportedOptionError(
        f"{origin} has the tensor {stored}, which no LoRA adapter of linear, convolution or embedding layers has; "
        "merge it with PEFT's merge_and_unload, save the policy, and export that"
    )
