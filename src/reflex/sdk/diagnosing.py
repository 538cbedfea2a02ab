"""`diagnose` of the SDK: recorded episodes through the policy that is served."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

from reflex.client import ReflexClient
from reflex.errors import SetupError
from reflex.wording.install import install_line

__all__ = ["DiagnosisFinding", "DiagnosisResult", "diagnose"]

DEADLINE_S = 10.0
"""Of one answer: the longest that a server takes."""


class DiagnosisFinding(Protocol):
    """One thing that is wrong; `kind` is its id in docs/diagnose.md, `line` all of it in one line."""

    @property
    def kind(self) -> str: ...

    @property
    def line(self) -> str: ...

    def told(self) -> dict[str, Any]: ...


class DiagnosisResult(Protocol):
    """What came of it; `told()` is what `reflex diagnose --json` prints."""

    @property
    def is_healthy(self) -> bool: ...

    @property
    def findings(self) -> Sequence[DiagnosisFinding]: ...

    @property
    def notes(self) -> Sequence[str]: ...

    def told(self) -> dict[str, Any]: ...


def diagnose(
    server: str,
    dataset: str | PathLike[str],
    *,
    frames: int = 48,
    seed: int = 0,
    limit_s: float = 600.0,
    instruction: str | None = None,
    cameras: Mapping[str, str] | None = None,
    api_key: str | None = None,
) -> DiagnosisResult:
    """Replay frames of a LeRobot dataset through the policy that a server serves, and name what does not fit.

    `instruction` is sent in place of those that were recorded; `cameras` gives the dataset's camera for some of the
    policy's. No robot takes part. Raises `SetupError` for a dataset that cannot be read, and what a client raises.
    """
    diagnosing = _diagnosing()
    plan = diagnosing.Plan(frames, seed, limit_s, instruction, dict(cameras or {}))
    with ReflexClient(server, deadline_s=DEADLINE_S, api_key=api_key) as client:
        result: DiagnosisResult = diagnosing.diagnose(client, server, Path(dataset), plan)
    return result


def _diagnosing() -> Any:  # noqa: ANN401  # a module, known only at run time
    try:
        return importlib.import_module("reflex_learning.diagnosis.diagnosing")
    except ModuleNotFoundError as exc:
        if exc.name is not None and exc.name.startswith("reflex"):
            raise
        raise SetupError(
            f"a diagnosis needs the package {exc.name}, which is not installed: {install_line('datasets')}"
        ) from exc
