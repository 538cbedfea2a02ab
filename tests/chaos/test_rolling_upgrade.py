"""A rolling upgrade as Kubernetes does it: two pods are replaced one by one under load, and no robot loses a request.

A pod is a `reflex serve` with its own Triton. Two of the policy `first` are replaced by two of `second` (maxSurge 1,
maxUnavailable 0): start a new one, wait until it is ready, end an old one. To end a pod is what the chart makes of it:
the endpoint goes (late), the preStop hook sleeps for longer than that takes, then comes SIGTERM, and the server drains.

What the preStop hook is for shows when `Cluster.end` does both at once, with ten newcomers among the robots: until the
Service has heard of it, it sends them to a pod that has already gone, and over a hundred of 8,000 requests found their
connection refused or closed; with the hook none of 11,000 did.

REFLEX_CHAOS_REQUESTS sets how many requests there are at least (1,000).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import httpx
import orjson
import pytest

from reflex.client import AsyncReflexClient
from support.load import Answer, LoadClient, run
from support.nonce import is_right, jpeg_b64
from support.outside.service import Pod, Service
from support.server import ServerProcess, running_server
from support.two_policies import admin_environment, write_policies
from support.waiting import HANGS_S, eventually, let_pass_here

pytestmark = pytest.mark.slow

REQUESTS: Final = int(os.environ.get("REFLEX_CHAOS_REQUESTS", "1000"))
ON_EITHER_SIDE: Final = 300
PAUSE_S: Final = 0.02
"""Between an answer and the robot's next request."""
DEADLINE_S: Final = 10.0
"""Of a call with its retry; the start of a Triton keeps a small machine busy."""
READY_S: Final = 90.0
ALL_ASKED_S: Final = 300.0
"""Only against hanging."""
JPEG: Final = base64.b64decode(jpeg_b64())


@dataclass(frozen=True)
class Member:
    """A pod and the server in it."""

    name: str
    pod: Pod
    server: ServerProcess


@dataclass(frozen=True, slots=True)
class Reply:
    """A right chunk, and who gave it."""

    member: str
    sent_at: float
    ended_at: float


Kind = Literal["client", "socket", "newcomer"]
"""Of a robot: the SDK's, one that keeps its connection, and one that makes a new one for every request."""
ROBOTS: Final[tuple[Kind, ...]] = ("client",) * 4 + ("socket",) * 2 + ("newcomer",) * 2


@dataclass
class Tally:
    """What the robots met."""

    replies: list[Reply] = field(default_factory=list)
    statuses: Counter[tuple[Kind, int]] = field(default_factory=Counter)
    """Every HTTP answer by (kind of robot, status), refusals that were retried included."""
    failures: list[str] = field(default_factory=list)

    def note(self, body: bytes, nonce: float, sent_at: float) -> None:
        if is_right(body, nonce):
            self.replies.append(Reply(orjson.loads(body)["robot_id"], sent_at, time.monotonic()))
        else:
            self.failures.append(f"a wrong answer: {body[:200]!r}")

    def note_answer(self, answer: Answer) -> None:
        if answer.nonce is not None and answer.status == 200:
            self.note(answer.body, answer.nonce, answer.sent_at)
        else:
            self.failures.append(str(answer))


class Watched(httpx.AsyncHTTPTransport):
    """The client's connections; its one retry of a broken connection must not hide that one broke."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(verify=False)
        self._tally = tally

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await super().handle_async_request(request)
        except httpx.TransportError as exc:
            self._tally.failures.append(f"the client's connection broke: {exc!r}")
            raise
        self._tally.statuses["client", response.status_code] += 1
        return response


@dataclass
class Cluster:
    """The Service, what runs behind it, and the robots in front."""

    folder: Path
    repository: Path
    processes: contextlib.ExitStack
    service: Service = field(default_factory=Service)
    tally: Tally = field(default_factory=Tally)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    nonces: Iterator[float] = field(default_factory=lambda: (number / 4 for number in itertools.count(1)))

    def start(self, name: str, policy: str) -> Member:
        """A pod that is not ready yet; each of its answers carries its name."""
        own = self.folder / name
        own.mkdir()
        options = ("--model-repository", str(self.repository), "--policy", policy, "--no-guard", "--robot-id", name)
        server = self.processes.enter_context(running_server(*options, env=admin_environment(own), ready=False))
        return Member(name, self.service.add(server.port), server)

    async def end(self, member: Member) -> None:
        """What a cluster does to a pod that is deleted."""
        await self.service.remove(member.pod)
        server = member.server
        server.process.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.to_thread(server.process.wait, HANGS_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not gone {HANGS_S} s after SIGTERM:\n{server.log}") from None
        assert code == 0, server.log

    async def replace(self, old: Member, new_name: str) -> Member:
        new = self.start(new_name, "second")
        await self.service.wait_ready(new.pod, READY_S)
        await self.end(old)
        return new


async def drive_with_the_client(cluster: Cluster) -> None:
    """A robot of the SDK, which retries by itself."""
    url = f"http://127.0.0.1:{cluster.service.port}"
    async with AsyncReflexClient(url, deadline_s=DEADLINE_S, transport=Watched(cluster.tally)) as client:
        while not cluster.done.is_set():
            nonce, sent_at = next(cluster.nonces), time.monotonic()
            state = (nonce, -nonce / 2, 0.0, 0.0, 0.0, 0.0)
            result = await client.act(state=state, image=JPEG, instruction="pick up the red cup")
            cluster.tally.note(orjson.dumps(result), nonce, sent_at)
            await let_pass_here(PAUSE_S)


async def drive_with_a_socket(cluster: Cluster, kind: Kind) -> None:
    """A robot in any other language: it waits as Retry-After says and asks once more."""
    async with LoadClient(cluster.service.port) as client:

        async def ask() -> Answer:
            answer = await client.act(deadline_ms=DEADLINE_S * 1000)
            cluster.tally.statuses[kind, answer.status] += 1
            if kind == "newcomer":
                client.drop_idle()
            return answer

        while not cluster.done.is_set():
            try:
                answer = await ask()
                if answer.status == 503:
                    await let_pass_here(int(answer.headers["retry-after"]))
                    answer = await ask()
                cluster.tally.note_answer(answer)
            except ConnectionError as exc:
                cluster.tally.failures.append(f"{kind}: {exc!r}")
            await let_pass_here(PAUSE_S)


async def upgrade(cluster: Cluster) -> None:
    """Two old pods under load become two new ones."""
    old = [cluster.start(name, "first") for name in ("old-1", "old-2")]
    for member in old:
        await cluster.service.wait_ready(member.pod, READY_S)
    async with asyncio.TaskGroup() as robots:
        for kind in ROBOTS:
            drive = drive_with_the_client(cluster) if kind == "client" else drive_with_a_socket(cluster, kind)
            robots.create_task(drive)
        await _answered(cluster, ON_EITHER_SIDE)
        started_at = time.monotonic()
        new = [await cluster.replace(member, name) for member, name in zip(old, ("new-1", "new-2"), strict=True)]
        ended_at = time.monotonic()
        so_far = len(cluster.tally.replies)
        await _answered(cluster, max(REQUESTS, so_far + ON_EITHER_SIDE))
        cluster.done.set()
    _check(cluster.tally, old, new, started_at, ended_at)


async def _answered(cluster: Cluster, number: int) -> None:
    """Until so many requests were; a failure ends the wait, for it ends the test."""
    tally = cluster.tally
    await eventually(lambda: len(tally.replies) >= number or tally.failures, f"{number} were", timeout_s=ALL_ASKED_S)


def _check(tally: Tally, old: list[Member], new: list[Member], started_at: float, ended_at: float) -> None:
    names = {policy: {member.name for member in members} for policy, members in (("first", old), ("second", new))}
    print(_story(tally, started_at, ended_at))
    assert tally.failures == []
    assert {member.name: member.pod.broken for member in old + new} == dict.fromkeys(
        names["first"] | names["second"], 0
    )
    assert len(tally.replies) >= REQUESTS
    assert {status for _, status in tally.statuses} <= {200, 503}
    for policy, members in (("first", old), ("second", new)):
        assert {member.pod.model_version.partition("@")[0] for member in members} == {policy}
    given_by = Counter(reply.member for reply in tally.replies)
    assert set(given_by) == names["first"] | names["second"], "every pod took part, and nobody else answered"
    assert {reply.member for reply in tally.replies if reply.ended_at < started_at} <= names["first"]
    assert {reply.member for reply in tally.replies if reply.sent_at > ended_at} <= names["second"]


def _story(tally: Tally, started_at: float, ended_at: float) -> str:
    meanwhile = sum(started_at < reply.ended_at < ended_at for reply in tally.replies)
    given_by = Counter(reply.member for reply in tally.replies)
    return f"{meanwhile} answers in {ended_at - started_at:.1f} s of upgrade; {dict(tally.statuses)}; {dict(given_by)}"


@pytest.mark.timeout(2 * ALL_ASKED_S)
def test_a_rolling_upgrade_loses_no_request_and_mixes_no_versions(tmp_path: Path) -> None:
    async def scenario() -> None:
        with contextlib.ExitStack() as processes:
            cluster = Cluster(tmp_path, write_policies(tmp_path), processes)
            async with cluster.service.serving():
                await upgrade(cluster)

    run(scenario())
