"""What an ensemble brings with it: Triton loads its models unasked, and tells of them in its log by their own names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from reflex.model_repository import TRITON_CONFIG_FILE

__all__ = ["parts_of"]

COMMENT: Final = re.compile(r"#.*")
STEP: Final = re.compile(r"""\bmodel_name\s*:\s*["']([^"']+)["']""")


def parts_of(repository: Path, models: Iterable[str]) -> dict[str, frozenset[str]]:
    """Of each of `models` the models of its ensemble, and theirs; none of one whose config cannot be read."""
    return {model: _below(repository, model) for model in models}


def _below(repository: Path, model: str) -> frozenset[str]:
    found: set[str] = set()
    left = [model]
    while left:
        steps = _steps(repository / left.pop() / TRITON_CONFIG_FILE) - found - {model}
        found |= steps
        left.extend(steps)
    return frozenset(found)


def _steps(config: Path) -> set[str]:
    try:
        return set(STEP.findall(COMMENT.sub("", config.read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError):
        return set()
