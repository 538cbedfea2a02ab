"""A worker's port over HTTP: whole in however many requests, and never more than one of them may hold."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from reflex.client import MockTransport
from reflex.client.mock import MockAnswer
from reflex.control import ControlClient
from reflex.control.run_queue import MOST_BYTES, HttpRunQueue
from reflex.errors import TransportError, service_error
from reflex.training.forms import as_json
from reflex.training.port import Ending, Exported, LeaseLostError, Metric, Orders, Progress, WorkerFacts
from reflex.training.request import MOST_STEPS, TrainingRequest
from reflex_control.http.routes.training_bodies import BeatBody, EndBody

WORKER = WorkerFacts(worker_id="w", name="n", families=("act",))
REQUEST = TrainingRequest(dataset_id="data_1", base="act")
CLAIM = {
    "runId": "run_1", "leaseId": "lease_1", "leaseSeconds": 60.0, "request": as_json(REQUEST), "datasetPath": "cubes",
    "datasetHash": "sha256:0", "attempt": 1,
}  # fmt: skip
LOST = service_error("lease_lost", "this worker has no lease")
ENDING = Ending(state="succeeded", reason="done", steps=3)


@contextmanager
def queue(transport: MockTransport) -> Iterator[HttpRunQueue]:
    with ControlClient("http://control:8100", api_key="rfx_" + "0" * 36, transport=transport) as client:
        yield HttpRunQueue(client)


def sent(transport: MockTransport) -> list[dict[str, Any]]:
    return [json.loads(request.content) for request in transport.requests]


def lines_of(bodies: list[dict[str, Any]]) -> list[tuple[int, str]]:
    return [(body["firstLine"] + at, line) for body in bodies for at, line in enumerate(body["log"])]


def test_a_claim_is_a_run_or_nothing() -> None:
    with queue(MockTransport([{"run": CLAIM}, {"run": None}])) as port:
        claim = port.claim(WORKER)
        assert claim is not None
        assert (claim.request, claim.dataset_path, claim.lease_seconds) == (REQUEST, "cubes", 60.0)
        assert port.claim(WORKER) is None


def test_a_claim_of_another_version_is_told() -> None:
    with queue(MockTransport([{"run": {"runId": "run_1"}}])) as port, pytest.raises(TransportError, match="version"):
        port.claim(WORKER)


@pytest.mark.parametrize("count", [0, 1, 499, 1201])
def test_every_line_and_metric_of_a_beat_arrives_once_and_numbered(count: int) -> None:
    transport = MockTransport([{"isCancelled": False}])
    lines, metrics = [f"line {number}" for number in range(count)], [Metric(step=step) for step in range(count)]
    with queue(transport) as port:
        port.beat("run_1", "lease_1", Progress(state="running", step=3, log=tuple(lines), metrics=tuple(metrics),
                                               first_line=7))  # fmt: skip
    bodies = sent(transport)

    assert lines_of(bodies) == list(enumerate(lines, 7))
    assert [metric["step"] for body in bodies for metric in body["metrics"]] == list(range(count))
    assert all(len(body["log"]) <= 500 and len(body["metrics"]) <= 200 for body in bodies)


def test_long_lines_go_in_requests_that_are_taken() -> None:
    transport = MockTransport([{"isCancelled": False}])
    with queue(transport) as port:
        port.beat("run_1", "lease_1", Progress(state="running", step=3, log=("\U0001f916" * 5_000,) * 100))

    assert len(lines_of(sent(transport))) == 100
    assert max(len(request.content) for request in transport.requests) < 2 * MOST_BYTES


def test_metrics_with_long_names_go_in_requests_that_are_taken() -> None:
    transport = MockTransport([{"isCancelled": False}])
    others = {f"{number}" + "\U0001f916" * 190: 0.5 for number in range(32)}
    with queue(transport) as port:
        metrics = tuple(Metric(step=step, others=others) for step in range(200))
        port.beat("run_1", "lease_1", Progress(state="running", step=3, metrics=metrics))

    assert [metric["step"] for body in sent(transport) for metric in body["metrics"]] == list(range(200))
    assert max(len(request.content) for request in transport.requests) < 2 * MOST_BYTES


def test_what_json_or_a_terminal_cannot_hold_is_not_sent() -> None:
    transport = MockTransport([{"isCancelled": False}])
    metric = Metric(step=1, loss=math.nan, lr=1e-4, others={"kl": math.inf, "l1": 0.5})
    with queue(transport) as port:
        progress = Progress(state="running", step=1, log=("a\x00b\x1b[2J\ud800\tc",), metrics=(metric,))
        port.beat("run_1", "lease_1", progress)
    (body,) = sent(transport)

    assert body["metrics"] == [{"step": 1, "lr": 1e-4, "others": {"l1": 0.5}}]
    assert body["log"][0].isprintable()


EVIL = "\x1b[2J\n\ud800" * 1_000


@pytest.mark.parametrize("reason", ["", "out of\nmemory", EVIL])
def test_any_reason_is_one_that_is_taken(reason: str) -> None:
    transport = MockTransport([{"id": "run_1"}])
    exported = Exported(policy="pick", model_hash="sha256:0", repository=f"/models/{EVIL}")
    with queue(transport) as port:
        port.end("run_1", "lease_1", Ending(state="failed", reason=reason, steps=-1, exported=exported, log=(EVIL,)))
    (body,) = sent(transport)

    taken = EndBody.model_validate(body)
    assert (taken.steps, taken.reason[:6]) == (0, {"": "not sa", "out of\nmemory": "out of"}.get(reason, r"\x1b[2"))


def test_whatever_a_trainer_measures_its_beat_is_taken() -> None:
    transport = MockTransport([{"isCancelled": False}])
    strange = Metric(step=1, others={"": 1.0, EVIL: 2.0, **{f"l{number}": 0.0 for number in range(40)}})
    metrics = (Metric(step=-1), strange, Metric(step=MOST_STEPS + 1))
    with queue(transport) as port:
        port.beat("run_1", "lease_1", Progress(state="running", step=10**30, metrics=metrics, log=(EVIL,)))
    (body,) = sent(transport)

    taken = BeatBody.model_validate(body)
    assert (taken.step, [metric.step for metric in taken.metrics], len(taken.metrics[0].others)) == (
        MOST_STEPS,
        [1],
        32,
    )


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_orders_are_those_of_the_queue(is_cancelled: bool) -> None:
    with queue(MockTransport([{"isCancelled": is_cancelled}])) as port:
        assert port.beat("run_1", "lease_1", Progress(state="running", step=1)) == Orders(is_cancelled=is_cancelled)


def test_a_lost_lease_is_told_by_its_class_from_beat_and_end() -> None:
    with queue(MockTransport([LOST])) as port:
        with pytest.raises(LeaseLostError):
            port.beat("run_1", "lease_1", Progress(state="running", step=1))
        with pytest.raises(LeaseLostError):
            port.end("run_1", "lease_1", ENDING)


def test_an_end_with_many_lines_is_an_end_even_where_it_is_said_again() -> None:
    def answer(request: httpx.Request) -> MockAnswer:
        return LOST if request.url.path.endswith("/beat") else {"id": "run_1"}

    transport = MockTransport(answer)
    with queue(transport) as port:
        port.end("run_1", "lease_1", Ending(state="failed", reason="r", steps=3, log=("a",) * 501))
    last = sent(transport)[-1]
    assert (last["state"], last["firstLine"], last["log"]) == ("failed", 500, ["a"])
