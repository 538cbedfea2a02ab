"""A replica is killed in mid-episode, another one takes over: one chunk that begins anew, and nothing else changes."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest

from docs.documents import REPOSITORY
from support.bodies import valid_body
from support.nonce_server import one_process_each
from support.server import ServerProcess, running_server
from support.waiting import HANGS_S

pytestmark = pytest.mark.slow

OPTIONS: Final = ("--policy", "demo", "--rtc")
REQUESTS: Final = 7
KILLED_BEFORE: Final = 3
PATIENT: Final = {"x-reflex-deadline-ms": "10000"}
EXECUTED: Final = 12
DELAY: Final = 4
ROUNDING: Final = 1e-4
"""In rad: less than a hundredth of what two chunks with other noise are apart."""
MEASURED: Final = ("request_id", "latency_ms", "hz", "timing")
"""Fields of an answer that no two answers share."""


@dataclass
class Robot:
    """Asks the first of its replicas that is there, as a load balancer would."""

    episode_id: str
    addresses: Sequence[str]
    lost: list[str] = field(default_factory=list)
    """Addresses at which nobody answered any more."""

    def ask(self, number: int) -> dict[str, Any]:
        """Its answer to observation `number`, less what is measured."""
        progress = {"executed_steps": EXECUTED} if number else {}
        state = [0.1 * number, 0.2, 0.0, 0.0, 0.0, 0.0]
        body = valid_body(episode_id=self.episode_id, seed=number, state=state, inference_delay_steps=DELAY, **progress)
        for address in self.addresses:
            if address in self.lost:
                continue
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.post(f"{address}/act", json=body, headers=PATIENT, verify=False, timeout=HANGS_S)
                assert answer.status_code == 200, answer.text
                return {name: value for name, value in answer.json().items() if name not in MEASURED}
            self.lost.append(address)
        raise AssertionError("no replica is left")


def differ(some: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> list[str]:
    """The fields in which answers differ; what else is in their model's batch moves actions by rounding."""
    pairs = list(zip(some, others, strict=True))
    names = [name for one, other in pairs for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
    moved = [not np.allclose(one["actions"], other["actions"], rtol=0.0, atol=ROUNDING) for one, other in pairs]
    return [name for name in names if name != "actions"] + ["actions"] * any(moved)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo policy, with one process for each of its graphs: one robot asks."""
    folder = tmp_path_factory.mktemp("copied") / "models"
    shutil.copytree(REPOSITORY / "model_repository", folder)
    one_process_each(folder)
    return folder


@pytest.fixture(scope="module")
def staying(repository: Path) -> Iterator[ServerProcess]:
    with running_server("--model-repository", str(repository), *OPTIONS) as server:
        server.triton_address()
        yield server


def test_a_replica_killed_in_mid_episode_costs_one_chunk_that_begins_anew_and_nothing_else(
    repository: Path, staying: ServerProcess
) -> None:
    with running_server(
        "--model-repository", str(repository), *OPTIONS, "--triton", staying.triton_address()
    ) as killed:
        robot = Robot("moved", (killed.base_url, staying.base_url))
        moved = [robot.ask(number) for number in range(KILLED_BEFORE)]
        killed.process.kill()
        killed.process.wait(HANGS_S)
        moved += [robot.ask(number) for number in range(KILLED_BEFORE, REQUESTS)]
    undisturbed = [Robot("stays", (staying.base_url,)).ask(number) for number in range(REQUESTS)]
    afresh = [Robot("afresh", (staying.base_url,)).ask(number) for number in range(KILLED_BEFORE, REQUESTS)]

    assert robot.lost == [killed.base_url]
    told = [(answer["rtc_applied"], answer.get("rtc_reason")) for answer in moved[1:]]
    anew = KILLED_BEFORE - 1
    assert told[anew] == (False, "first_chunk")
    assert told[:anew] + told[anew + 1 :] == [(True, None)] * (REQUESTS - 2)
    assert differ(moved[:KILLED_BEFORE], undisturbed[:KILLED_BEFORE]) == []
    assert differ(moved[KILLED_BEFORE:], afresh) == []
    assert [answer["model_version"] for answer in moved] == [answer["model_version"] for answer in undisturbed]
    assert "actions" in differ([moved[KILLED_BEFORE]], [undisturbed[KILLED_BEFORE]])
