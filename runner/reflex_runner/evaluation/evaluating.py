"""`evaluate`: plays the same seeds with each policy and each ablation that is asked for, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from reflex.errors import SetupError
from reflex_runner.config.sections import RobotConfig
from reflex_runner.evaluation.ablation import Ablation
from reflex_runner.evaluation.comparison import Comparison
from reflex_runner.evaluation.files import Files
from reflex_runner.evaluation.outcomes import EpisodeOutcome, Evaluation
from reflex_runner.evaluation.report import EvaluationReport
from reflex_runner.evaluation.settings import LAST_SEED, MOST_EPISODES, EvaluationSettings, plans_of, robot_for
from reflex_runner.evaluation.watching import Beginnings, Watching
from reflex_runner.loop.tally import RunProblem
from reflex_runner.preflight.served import Served
from reflex_runner.running.episodes import play_episodes
from reflex_runner.running.options import RunOptions
from reflex_runner.running.parts import Asked, BuildRobot, served_of

__all__ = ["Progress", "evaluate"]

Progress = Callable[[Evaluation], None]
"""Hears of each episode: the evaluation so far, whose last one it is."""
SEEDED: Final = ("act", "edge", "openpi")
"""Ways to ask that hand a seed on."""


def evaluate(
    settings: EvaluationSettings,
    progress: Progress = lambda _so_far: None,
    *,
    build_robot: BuildRobot | None = None,
) -> EvaluationReport:
    """Every server is looked at before anything is played. Ctrl-C ends it with what was played so far.

    Raises `SetupError`, `PreflightError` and what a server that cannot be reached stands for.
    """
    _refuse_unplayable(settings)
    files = None if settings.out is None else Files(settings.out)
    player = _Player(settings, progress, files, build_robot)
    first = _Side(settings, settings.url)
    second = None if settings.against is None else _Side(settings, settings.against, like=first)
    evaluation = player.played(first, "policy")
    report = EvaluationReport(evaluation)
    if second is not None and _goes_on(evaluation):
        report = replace(report, against=Comparison(evaluation, player.played(second, "against")))
    for ablation in settings.ablations:
        if _goes_on(report.all[-1]):
            played = Comparison(evaluation, player.played(first, _label(ablation), ablation))
            report = replace(report, ablations=(*report.ablations, played))
    if files is not None:
        files.write(report)
    return report


def _refuse_unplayable(settings: EvaluationSettings) -> None:
    seeds = settings.seeds
    if not 1 <= len(seeds) <= MOST_EPISODES or len(set(seeds)) < len(seeds) or not all(map(_is_seed, seeds)):
        raise SetupError(f"seeds: give 1 to {MOST_EPISODES:,} whole numbers from 0 on, each once")
    if len(seeds) < 2 and any(each.needs_another for each in settings.ablations):
        raise SetupError("an ablation by another episode needs two episodes; give more of them")
    if settings.against is not None and settings.kind == "expert":
        raise SetupError("the expert asks no server: leave --against out, or say another --kind")


def _is_seed(given: object) -> bool:
    return type(given) is int and 0 <= given < LAST_SEED


def _goes_on(last: Evaluation) -> bool:
    return not last.errors and not last.is_interrupted


def _label(ablation: Ablation) -> str:
    """As a folder may be called, whatever an instruction says."""
    return f"without_{ablation.what}" + ("_other" if ablation.needs_another else "")


class _Side:
    """One of the policies: where it is asked, and what is known of it.

    A server that names no cameras sees those of the one that it is `like`.
    """

    def __init__(self, settings: EvaluationSettings, url: str | None, like: _Side | None = None) -> None:
        blind = robot_for(settings, url, None)
        self.served = served_of(Asked(blind, "apply_actions", _nobody, api_key=settings.api_key))
        seen = like.served if self.served is None and like is not None else self.served
        self.config: RobotConfig = robot_for(settings, url, seen)

    @property
    def name(self) -> str:
        """Of the policy, or of both that share the episodes."""
        target = self.config.target
        told = " and ".join(_names(self.served))
        return told or ("expert" if target.kind == "expert" else str(target.url))

    @property
    def is_seeded(self) -> bool:
        """Whether the server may be told a seed: one of another make may know no such field."""
        return self.served is not None and self.config.target.kind in SEEDED


def _names(served: Served | None) -> list[str]:
    return [] if served is None else [policy.model_version for policy in served.policies]


def _nobody() -> Any:  # noqa: ANN401
    raise AssertionError("no robot is needed to look at a server")


class _Player:
    """What all evaluations of one report share."""

    def __init__(
        self,
        settings: EvaluationSettings,
        progress: Progress,
        files: Files | None,
        build_robot: BuildRobot | None,
    ) -> None:
        self._settings, self._progress, self._files = settings, progress, files
        self._build_robot, self._beginnings = build_robot, Beginnings()

    def played(self, side: _Side, label: str, ablation: Ablation | None = None) -> Evaluation:
        """All seeds, or those that came before Ctrl-C or an error."""
        so_far = Evaluation(
            side.name, (), len(self._settings.seeds), None if ablation is None else str(ablation),
            settings=self._told(side),
        )  # fmt: skip

        def told(outcome: EpisodeOutcome) -> None:
            nonlocal so_far
            so_far = replace(so_far, episodes=(*so_far.episodes, outcome))
            if self._files is not None:
                self._files.add(so_far)
            self._progress(so_far)

        watching = self._watching(told, side, label, ablation)
        try:
            errors, is_interrupted = self._play(side, watching)
        except KeyboardInterrupt:  # between two episodes, where no loop hears it
            errors, is_interrupted = (), True
        return replace(so_far, errors=errors, is_interrupted=is_interrupted)

    def _watching(
        self, told: Callable[[EpisodeOutcome], None], side: _Side, label: str, ablation: Ablation | None
    ) -> Watching:
        films = None if self._files is None else self._files.films(label, self._settings.most_films)
        is_raw = self._settings.is_raw and side.config.target.kind != "openpi"
        return Watching(told, beginnings=self._beginnings, ablation=ablation, is_raw=is_raw, films=films)

    def _play(self, side: _Side, watching: Watching) -> tuple[tuple[RunProblem, ...], bool]:
        settings = self._settings
        went = play_episodes(
            side.config,
            plans_of(settings, is_seeded=side.is_seeded),
            RunOptions(records=False, api_key=settings.api_key),
            build_robot=self._build_robot,
            steps_per_chunk=settings.steps_per_chunk,
            attendant=watching,
        )
        return went.errors, went.ended_by is not None

    def _told(self, side: _Side) -> dict[str, Any]:
        settings, config = self._settings, side.config
        return {
            "url": config.target.url, "kind": config.target.kind, "pictures": "raw" if settings.is_raw else "jpeg",
            "stepsPerChunk": settings.steps_per_chunk, "maxSteps": config.session.max_steps,
            "hardware": {"kind": config.hardware.kind, **config.hardware.settings},
            "firstSeed": settings.seeds[0], "lastSeed": settings.seeds[-1],
        }  # fmt: skip
