"""The backend `onnxruntime` of the embedded Triton: loads ONNX files and runs them on the CPU.

Stands in for Triton's native backend of that name and takes the same config.pbtxt. A model is one graph, or, with
`reflex_ensemble.json` in its version's folder, all graphs of an ensemble. Runs inside Triton's Python stub: no import
of ours but the modules beside it, whose names begin with `reflex_` because the stub looks for a module in the
environment first.
"""

import json
from pathlib import Path

import triton_python_backend_utils as pb_utils
from reflex_batch import Feed, Outcome, run_each, run_together
from reflex_bound import BoundSession
from reflex_ensemble import Ensemble, StepError, open_ensemble
from reflex_session import LoadError, open_session, reason_of

STEPS_FILE = "reflex_ensemble.json"


class TritonPythonModel:
    """One instance of one model; Triton calls the methods, one at a time."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model; a `TritonModelException` becomes the reason of Triton's load error."""
        config = json.loads(args["model_config"])
        try:
            self._answers = _opened(config, Path(args["model_repository"]) / args["model_version"])
        except LoadError as exc:
            raise pb_utils.TritonModelException(str(exc)) from exc

    def execute(self, requests: list) -> list:
        """Answer every request, in order; each answer is tensors or an error of its own."""
        feeds = [{tensor.name(): tensor.as_numpy() for tensor in request.inputs()} for request in requests]
        wanted = [request.requested_output_names() for request in requests]
        return [
            _response(names, result)
            for names, result in zip(wanted, self._answers(requests, feeds, wanted), strict=True)
        ]


def _opened(config: dict, folder: Path):  # noqa: ANN202 - one of two kinds of call
    """Answers feeds: for each request its tensors by name, or an error."""
    steps = folder / STEPS_FILE
    if steps.is_file():
        told = json.loads(steps.read_text(encoding="utf-8"))
        return _ensemble_answers(open_ensemble(told, config.get("instance_group", [])))
    return _graph_answers(config, folder)


def _graph_answers(config: dict, folder: Path):  # noqa: ANN202
    session = open_session(config, folder)
    names = [output["name"] for output in config["output"]]
    run_all = run_together if config["max_batch_size"] > 0 else run_each

    def run(feed: Feed) -> list:
        return session.run(names, feed)

    def answer(outcome: Outcome) -> Feed | StepError:
        if isinstance(outcome, Exception):
            return StepError(f"ONNX Runtime: {reason_of(outcome, on_gpu=isinstance(session, BoundSession))}")
        return dict(zip(names, outcome, strict=True))

    def answers(_requests: list, feeds: list[Feed], _wanted: list) -> list:
        return [answer(outcome) for outcome in run_all(run, feeds)]

    return answers


def _ensemble_answers(ensemble: Ensemble):  # noqa: ANN202
    def answers(requests: list, feeds: list[Feed], wanted: list) -> list:
        outputs = frozenset(name for names in wanted for name in names)
        return ensemble.run_all(feeds, outputs, lambda index: requests[index].is_cancelled())

    return answers


def _response(names: list[str], result: Feed | Exception) -> "pb_utils.InferenceResponse":
    if isinstance(result, Exception):
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(result)))
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, result[name]) for name in names])
