"""An ensemble of ONNX models in one process: its dataflow, from session to session.

Arrays go from one session to the next without a copy: ONNX Runtime reads a contiguous array where it lies, and what it
answers lies where ONNX Runtime put it; between two models on a GPU, in its memory. The requests of a batch go through
each model together, in pieces that it can take; one that fails in a model is out of the following ones, and the others
go on.
"""

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime
from reflex_batch import Feed, Outcome, Run, run_each, run_together
from reflex_bound import BoundSession
from reflex_session import LoadError, open_session, reason_of

__all__ = ["Ensemble", "StepError", "open_ensemble"]

IS_LONG_S = 0.005
"""To ask whether a request was cancelled costs a way to Triton and back."""

MOST_PLANS = 64
"""One for each choice of outputs that somebody asked for."""


class StepError(Exception):
    """What a model of the ensemble said of one request."""


@dataclass(frozen=True)
class Step:
    """One model of the ensemble. `inputs` and `outputs`: the ensemble's name of a tensor by the model's own."""

    model: str
    session: onnxruntime.InferenceSession
    inputs: dict[str, str]
    outputs: dict[str, str]
    batches: bool
    most_rows: int

    @property
    def is_bound(self) -> bool:
        """Whether it runs on a GPU, and takes what another model left there."""
        return isinstance(self.session, BoundSession)

    def feed(self, known: Feed) -> Feed:
        """What the model reads, as far as it is there: an input may be one that need not be given."""
        return {name: known[outer] for name, outer in self.inputs.items() if outer in known}


@dataclass(frozen=True)
class Planned:
    """One step when certain outputs are asked for: what it is to give, and what nobody reads after it."""

    step: Step
    run: Run
    run_alone: Run
    """For one request: what only models on the GPU read stays there. Of several each would be given the same place."""
    gives: tuple[str, ...]
    unread: tuple[str, ...]

    def run_all(self, values: Sequence[Feed]) -> list[Outcome]:
        """For each request what `gives` says, or what went wrong."""
        feeds = [self.step.feed(known) for known in values]
        if len(feeds) == 1:
            return run_each(self.run_alone, feeds)
        if self.step.batches:
            return run_together(self.run, feeds, self.step.most_rows)
        return run_each(self.run, feeds)


class Ensemble:
    """The steps in their order."""

    def __init__(self, name: str, steps: Sequence[Step]) -> None:
        self.name = name
        self._steps = steps
        self._plans: dict[frozenset[str], list[Planned]] = {}

    def run_all(
        self, feeds: Sequence[Feed], outputs: frozenset[str], is_cancelled: Callable[[int], bool]
    ) -> list[Feed | Exception]:
        """For each request its tensors by name, `outputs` among them, or what went wrong. Takes `feeds` over."""
        results: list[Feed | Exception] = list(feeds)
        began = time.monotonic()
        for planned in self._plan(outputs):
            if time.monotonic() - began > IS_LONG_S:
                self._drop_cancelled(results, is_cancelled)
            alive = [index for index, result in enumerate(results) if not isinstance(result, Exception)]
            if alive:
                self._run_step(planned, results, alive)
        return results

    def _plan(self, outputs: frozenset[str]) -> list[Planned]:
        if outputs not in self._plans:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            self._plans[outputs] = [self._planned(number, outputs) for number in range(len(self._steps))]
        return self._plans[outputs]

    def _planned(self, number: int, outputs: frozenset[str]) -> Planned:
        step = self._steps[number]
        read = outputs.union(*(later.inputs.values() for later in self._steps[number + 1 :]))
        # A model of which nobody reads anything runs all the same: what it says of a request counts.
        names = [name for name, outer in step.outputs.items() if outer in read] or list(step.outputs)
        run = functools.partial(step.session.run, names)
        stay = {name for name in names if step.outputs[name] in self._read_on_gpu(number) - outputs}
        return Planned(
            step=step,
            run=run,
            run_alone=functools.partial(run, stay=stay) if step.is_bound and stay else run,
            gives=tuple(step.outputs[name] for name in names),
            unread=tuple(outer for outer in step.inputs.values() if outer not in read),
        )

    def _read_on_gpu(self, number: int) -> set[str]:
        """What the following models read, and all of them on the GPU."""
        later = self._steps[number + 1 :]
        elsewhere = {outer for step in later if not step.is_bound for outer in step.inputs.values()}
        return {outer for step in later for outer in step.inputs.values()} - elsewhere

    def _run_step(self, planned: Planned, results: list[Feed | Exception], alive: list[int]) -> None:
        for index, outcome in zip(alive, planned.run_all([results[index] for index in alive]), strict=True):
            if isinstance(outcome, Exception):
                reason = reason_of(outcome, on_gpu=planned.step.is_bound)
                results[index] = StepError(f"in ensemble '{self.name}', {planned.step.model}: ONNX Runtime: {reason}")
                continue
            known = results[index]
            for name in planned.unread:
                known.pop(name, None)
            known.update(zip(planned.gives, outcome, strict=True))

    def _drop_cancelled(self, results: list[Feed | Exception], is_cancelled: Callable[[int], bool]) -> None:
        """Nobody waits for them: the following models need not run."""
        for index, result in enumerate(results):
            if not isinstance(result, Exception) and is_cancelled(index):
                results[index] = StepError(f"in ensemble '{self.name}', the request was cancelled")


def open_ensemble(told: dict[str, Any], instance_group: list[dict[str, Any]]) -> Ensemble:
    """What the file beside the model says; `LoadError` names the model that cannot be loaded.

    `instance_group` is the ensemble's own: each instance is a process that has all of its models.
    """
    return Ensemble(told["ensemble"], [_step(step, instance_group) for step in told["steps"]])


def _step(told: dict[str, Any], instance_group: list[dict[str, Any]]) -> Step:
    try:
        session = open_session({**told["config"], "instance_group": instance_group}, Path(told["folder"]))
    except LoadError as exc:
        raise LoadError(f"its model {told['model']}: {exc}") from exc
    return Step(
        model=told["model"],
        session=session,
        inputs=told["inputs"],
        outputs=told["outputs"],
        batches=told["batches"],
        most_rows=told["config"]["max_batch_size"],
    )
