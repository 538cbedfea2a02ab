"""A run is followed to its end, over a control plane that is away for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reflex.client import MockTransport
from reflex.client.mock import MockAnswer
from reflex.control import ControlClient
from reflex.control.following import log_lines, wait_for_run
from reflex.errors import ClientTimeoutError, ServiceError, service_error
from support.waiting import HANGS_S

AWAY = service_error("store_unavailable", "the store is away", retry_after_s=10 * HANGS_S)
"""For longer than one call may take: it is told at once."""
GONE = service_error("not_found", "there is no such run")


@contextmanager
def control(*answers: MockAnswer) -> Iterator[ControlClient]:
    with ControlClient(
        "http://control:8100", api_key="rfx_" + "0" * 36, transport=MockTransport(answers), deadline_s=HANGS_S
    ) as client:
        yield client


def page(*texts: str, first: int = 0, whole: bool = False) -> dict[str, Any]:
    lines = [{"number": number, "text": text} for number, text in enumerate(texts, first)]
    return {"lines": lines, "nextLine": first + len(texts), "firstKept": 0, "state": "running", "isWhole": whole}


def run(state: str) -> dict[str, Any]:
    return {"id": "run_1", "state": state, "step": 1}


def no_sleep(_seconds: float) -> None:
    pass


def test_without_following_what_is_there_is_all() -> None:
    with control(page("a", "b"), page(first=2)) as client:
        assert [line["text"] for line in log_lines(client, "run_1", sleep=no_sleep)] == ["a", "b"]


def test_what_comes_later_is_followed_to_the_end() -> None:
    with control(page("a"), page(first=1), page("b", first=1), page(first=2, whole=True)) as client:
        assert [line["text"] for line in log_lines(client, "run_1", follow=True, sleep=no_sleep)] == ["a", "b"]


def test_a_control_plane_that_is_away_is_waited_for_and_told_once() -> None:
    troubles: list[str] = []
    with control(page("a"), AWAY, AWAY, page("b", first=1, whole=True)) as client:
        lines = log_lines(client, "run_1", follow=True, tell=troubles.append, sleep=no_sleep)
        assert [line["text"] for line in lines] == ["a", "b"]
    assert [trouble.endswith("the store is away Still waiting.") for trouble in troubles] == [True]


def test_a_run_that_is_not_there_is_not_waited_for() -> None:
    with control(GONE) as client, pytest.raises(ServiceError, match="no such run"):
        wait_for_run(client, "run_1", sleep=no_sleep)


def test_the_end_is_waited_for_and_seen_on_the_way() -> None:
    seen: list[str] = []
    with control(run("queued"), run("running"), run("failed")) as client:
        ended = wait_for_run(client, "run_1", seen=lambda each: seen.append(each["state"]), sleep=no_sleep)
    assert (ended["state"], seen) == ("failed", ["queued", "running", "failed"])


def test_waiting_has_a_bound() -> None:
    times = iter(range(100))
    with control(run("running")) as client, pytest.raises(ClientTimeoutError, match="goes on"):
        wait_for_run(client, "run_1", timeout_s=3, sleep=no_sleep, clock=lambda: float(next(times)))
