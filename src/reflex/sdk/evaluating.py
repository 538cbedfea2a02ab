"""Measuring a policy in closed loop: a thin door to `reflex_runner`, which is imported when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Protocol

from reflex.errors import SetupError
from reflex.wording.install import install_line

__all__ = ["EvaluationReport", "evaluate"]

Kind = Literal["act", "stream", "openpi", "expert"]
HELD_OUT = range(10_000, 10_200)
"""Far from the seeds of demonstrations, which begin at 0."""


class EvaluationReport(Protocol):
    """What was found out, as `reflex_runner.evaluation` says it; it is frozen."""

    @property
    def evaluation(self) -> Any: ...  # noqa: ANN401  # of a package that who imports this need not have

    @property
    def against(self) -> Any: ...  # noqa: ANN401

    @property
    def ablations(self) -> tuple[Any, ...]: ...

    @property
    def errors(self) -> tuple[Any, ...]: ...

    @property
    def is_interrupted(self) -> bool: ...

    def as_json(self) -> dict[str, Any]: ...


def evaluate(
    url: str | None = None,
    *,
    seeds: Sequence[int] = HELD_OUT,
    against: str | None = None,
    instruction: str | None = None,
    ablate: Sequence[str] = (),
    config: str | PathLike[str] | None = None,
    kind: Kind | None = None,
    raw: bool = False,
    steps_per_chunk: int = 8,
    max_steps: int | None = None,
    picture_px: int | None = None,
    out: str | PathLike[str] | None = None,
    films: int = 20,
    api_key: str | None = None,
    progress: Callable[[Any], None] | None = None,
) -> EvaluationReport:
    """Play every seed of a simulated robot with the policy at `url`, and count the successes.

        report = reflex.evaluate("http://localhost:8000", seeds=range(10_000, 10_200), ablate=["image", "state"])
        print(report.evaluation.rate, report.evaluation.interval)

    `against` is another server, played on the same seeds and compared pair by pair; `ablate` takes `image`, `state` or
    `instruction` away. `config` is a `robot.yaml`; without one it is the simulated arm, its pictures `picture_px`
    wide and high, or as the policy wants them. `progress` hears the evaluation so far after each episode. Ctrl-C ends
    it with what was played.
    """
    settings, ablation, evaluating = (_of_the_runner(each) for each in ("settings", "ablation", "evaluating"))
    asked = settings.EvaluationSettings(
        seeds=seeds,
        url=url,
        against=against,
        instruction=instruction,
        ablations=tuple(ablation.parse_ablation(each) for each in ablate),
        config=None if config is None else importlib.import_module("reflex_runner.config").load_robot_config(config),
        kind=kind,
        is_raw=raw,
        steps_per_chunk=steps_per_chunk,
        max_steps=max_steps,
        picture_px=picture_px,
        out=None if out is None else Path(out),
        most_films=films,
        api_key=api_key,
    )
    report: EvaluationReport = evaluating.evaluate(asked, *(() if progress is None else (progress,)))
    return report


def _of_the_runner(module: str) -> Any:  # noqa: ANN401  # a module, known only at run time
    try:
        return importlib.import_module(f"reflex_runner.evaluation.{module}")
    except ModuleNotFoundError as exc:
        if exc.name is not None and exc.name.startswith("reflex"):
            raise
        raise SetupError(
            f"an evaluation needs the package {exc.name}, which is not installed: {install_line('runner', 'sim')}"
        ) from exc
