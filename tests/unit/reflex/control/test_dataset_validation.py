"""Nobody waits for a verdict that does not come, and whoever came to one hears of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from reflex.client import MockTransport
from reflex.client.mock import MockAnswer
from reflex.control import ControlClient
from reflex.control.dataset_validation import validate_registered
from reflex.errors import ServiceError, service_error
from support.trainer.stub import dataset_in

COUNTS = dict.fromkeys(("errors", "warnings", "episodes", "frames", "pictures"), 0)


@dataclass
class Verdict:
    is_valid: bool = True

    def told(self) -> dict[str, Any]:
        return {**COUNTS, "rules": []}


def ends(error: BaseException) -> Callable[[httpx.Request], MockAnswer]:
    """A control plane that cannot be told of a verdict."""

    def answer(request: httpx.Request) -> MockAnswer:
        if json.loads(request.content)["state"] == "valid":
            if isinstance(error, ServiceError):
                return error
            raise error
        return {"id": "data_1"}

    return answer


def validated(transport: MockTransport, folder: Path, found: list[Verdict]) -> list[str]:
    """The states that the control plane was told of."""
    root = dataset_in(folder)
    with ControlClient("http://control:8100", api_key="rfx_" + "0" * 36, transport=transport) as client:
        validate_registered(client, "data_1", lambda _: Verdict(), folder=root, found=found.append)
    return states(transport)


def states(transport: MockTransport) -> list[str]:
    return [json.loads(request.content)["state"] for request in transport.requests]


def test_a_verdict_is_told(tmp_path: Path) -> None:
    found: list[Verdict] = []
    assert validated(MockTransport([{"id": "data_1"}]), tmp_path, found) == ["validating", "valid"]
    assert found == [Verdict()]


@pytest.mark.parametrize(
    "error", [service_error("wrong_state", "changed"), KeyboardInterrupt()], ids=["error", "ctrl-c"]
)
def test_a_verdict_that_is_not_told_is_given_up_and_was_heard(tmp_path: Path, error: BaseException) -> None:
    transport, found = MockTransport(ends(error)), list[Verdict]()
    with pytest.raises(type(error)):
        validated(transport, tmp_path, found)

    assert states(transport) == ["validating", "valid", "registered"]
    assert found == [Verdict()]
