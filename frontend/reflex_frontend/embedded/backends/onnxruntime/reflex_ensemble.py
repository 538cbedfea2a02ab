"""An ensemble of ONNX models in one process: its dataflow, from session to session.

Arrays go from one session to the next without a copy: ONNX Runtime reads a contiguous array where it lies, and what it
answers lies where ONNX Runtime put it. The requests of a batch go through each model together, in pieces that it can
take; one that fails in a model is out of the following ones, and the others go on.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from reflex_batch import Feed, Outcome, run_each, run_together
from reflex_session import LoadError, open_session, reason_of

__all__ = ["Ensemble", "StepError", "open_ensemble"]

IS_LONG_S = 0.005
"""To ask whether a request was cancelled costs a way to Triton and back."""


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

    def run(self, values: Sequence[Feed], wanted: Collection[str]) -> list[Outcome]:
        """For each request, by the ensemble's names, what is `wanted` of what this model gives."""
        names = [name for name, outer in self.outputs.items() if outer in wanted] or None
        feeds = [{name: known[outer] for name, outer in self.inputs.items() if outer in known} for known in values]

        def run(feed: Feed) -> list[np.ndarray]:
            return self.session.run(names, feed)

        return run_together(run, feeds, self.most_rows) if self.batches else run_each(run, feeds)

    def given(self, wanted: Collection[str]) -> list[str]:
        """The names of what `run` gives, in its order."""
        return [outer for outer in self.outputs.values() if outer in wanted] or list(self.outputs.values())


@dataclass(frozen=True)
class Ensemble:
    """The steps in their order."""

    name: str
    steps: tuple[Step, ...]

    def run_all(
        self, feeds: Sequence[Feed], outputs: Collection[str], is_cancelled: Callable[[int], bool]
    ) -> list[Feed | Exception]:
        """For each request its tensors by name, `outputs` among them, or what went wrong."""
        results: list[Feed | Exception] = list(feeds)
        began = time.monotonic()
        for number, step in enumerate(self.steps):
            if number and time.monotonic() - began > IS_LONG_S:
                self._drop_cancelled(results, is_cancelled)
            alive = [index for index, result in enumerate(results) if not isinstance(result, Exception)]
            if alive:
                self._run_step(step, results, alive, self._read_after(number) | set(outputs))
        return results

    def _run_step(self, step: Step, results: list[Feed | Exception], alive: list[int], wanted: set[str]) -> None:
        names = step.given(wanted)
        outcomes = step.run([results[index] for index in alive], wanted)
        for index, outcome in zip(alive, outcomes, strict=True):
            if isinstance(outcome, Exception):
                text = f"in ensemble '{self.name}', {step.model}: ONNX Runtime: {reason_of(outcome)}"
                results[index] = StepError(text)
            else:
                known = results[index] | dict(zip(names, outcome, strict=True))
                results[index] = {name: value for name, value in known.items() if name in wanted}

    def _read_after(self, number: int) -> set[str]:
        return {outer for step in self.steps[number + 1 :] for outer in step.inputs.values()}

    def _drop_cancelled(self, results: list[Feed | Exception], is_cancelled: Callable[[int], bool]) -> None:
        """Nobody waits for them: the following models need not run."""
        for index, result in enumerate(results):
            if not isinstance(result, Exception) and is_cancelled(index):
                results[index] = StepError(f"in ensemble '{self.name}', the request was cancelled")


def open_ensemble(told: dict[str, Any], instance_group: list[dict[str, Any]]) -> Ensemble:
    """What the file beside the model says; `LoadError` names the model that cannot be loaded.

    `instance_group` is the ensemble's own: each instance is a process that has all of its models.
    """
    return Ensemble(told["ensemble"], tuple(_step(step, instance_group) for step in told["steps"]))


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
