"""Two frontends before one Triton: they agree on every episode, and every answer says which policy gave it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import orjson
import pytest

from reflex.wire import ROUTING_HEADERS
from reflex_frontend.exchange.slot_hash import slot_of
from support.hostile import RawAnswer, connection, exchange, post_request
from support.load import LoadClient, run
from support.nonce import act_body
from support.nonce_server import nonce_server
from support.server import ServerProcess, running_server
from support.two_policies import SPLIT, TwoPolicies, admin_environment, two_policies
from support.waiting import HANGS_S, wait_until

ROUTING = tuple(name.lower() for name in ROUTING_HEADERS)
EPISODES = tuple(f"episode-{number}" for number in range(40))
STRANGE_EPISODES = ("Ep 1; a=b", "100 %25", "épisode/ü", "\N{ROBOT FACE}" * 8, "x" * 256)
IN_FLIGHT = 16
"""Twice the batch of the nonce policy's one instance."""
RECEIVE_S = 1
IN_FLIGHT_MS = 5_000
"""Long enough to be seen on a busy machine, and shorter than a server that is stopped waits."""
TOO_LONG = 8 * 1024 * 1024 + 1
HEAD = "POST /act HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"

Behave = Callable[..., None]
Headers = Mapping[str, str]


@dataclass
class Pair:
    """`first` owns the Triton that both ask."""

    first: TwoPolicies
    folder: Path

    @contextlib.contextmanager
    def second(self) -> Iterator[ServerProcess]:
        """Another frontend process before the same Triton."""
        options = ("--model-repository", str(self.folder / "models"), "--no-guard", "--admin-port", "0")
        slots = ("--policy-a", "first", "--policy-b", "second", "--split", str(SPLIT))
        where = ("--triton", self.first.process.triton_address())
        with running_server(*options, *slots, *where, env=admin_environment(self.folder)) as process:
            process.triton_address()
            yield process


@contextlib.contextmanager
def new_pair(folder: Path) -> Iterator[Pair]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REFLEX_RECEIVE_TIMEOUT_S", str(RECEIVE_S))
        with two_policies(folder, "--max-queue", "0") as first:
            first.process.triton_address()
            yield Pair(first, folder)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with new_pair(tmp_path_factory.mktemp("pair")) as made:
        yield made


@dataclass
class Lost:
    """What a server answered that lost its slot b, and then was stopped."""

    known: dict[str, str]
    """The versions of its policies."""
    failing: list[RawAnswer]
    """To an episode of slot b, the last one when that slot was out."""
    draining: RawAnswer
    """To an episode of slot a, when the server was being stopped."""
    in_flight: RawAnswer
    """To the request that was in flight then, of slot a too."""


IN_A = next(name for name in EPISODES if slot_of(name, SPLIT) == "a")
IN_B = next(name for name in EPISODES if slot_of(name, SPLIT) == "b")


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Lost:
    """One server for the two, after which it is of no use to others."""
    with new_pair(tmp_path_factory.mktemp("lost")) as own_pair:
        known, failing = versions(own_pair.first.port), []
        own_pair.first.behave("second", fault="error")
        for _ in range(8):
            failing.append(ask(own_pair.first.port, episode_id=IN_B))
            if failing[-1].status == 200:  # the slot is out: its canary or these requests have seen to that
                break
        return Lost(known, failing, *answers_of_a_stop(own_pair.first))


def answers_of_a_stop(server: TwoPolicies) -> tuple[RawAnswer, RawAnswer]:
    server.behave("first", delay_ms=IN_FLIGHT_MS)
    with connection(server.port) as working, connection(server.port) as late:
        late.send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert late.read().status == 200
        working.send(post_request(act_body(1.0, episode_id=IN_A)))
        wait_until(lambda: server.process.in_flight() == 1, "the request is in flight")
        server.process.process.terminate()
        wait_until(lambda: "draining" in server.process.log, "it drains")
        late.send(post_request(act_body(1.0, episode_id=IN_A)))
        return late.read(), working.read()


def routing_of(answer: RawAnswer) -> dict[str, str]:
    return {name: answer.headers[name] for name in ROUTING if name in answer.headers}


def ask(port: int, *, episode_id: str) -> RawAnswer:
    (answer,) = exchange(port, post_request(act_body(1.0, episode_id=episode_id)))
    return answer


def slots_seen(port: int, episodes: tuple[str, ...]) -> dict[str, str]:
    """The slot of each episode, by header and body; both policies are healthy."""
    seen = {}
    for episode in episodes:
        answer = ask(port, episode_id=episode)
        routing = routing_of(answer)
        assert answer.status == 200, answer.body
        assert routing["x-reflex-routing-degraded"] == "false"
        assert answer.json()["routing_degraded"] is False
        assert answer.json()["policy_slot"] == routing["x-reflex-policy-slot"]
        assert answer.json()["model_version"] == routing["x-reflex-model-version"]
        seen[episode] = routing["x-reflex-policy-slot"]
    return seen


@pytest.mark.slow
def test_every_request_of_an_episode_gets_one_slot_in_two_processes_and_after_a_restart(pair: Pair) -> None:
    expected = {episode: slot_of(episode, SPLIT) for episode in EPISODES}
    assert set(expected.values()) == {"a", "b"}
    with pair.second() as second:
        for _ in range(2):
            assert slots_seen(pair.first.port, EPISODES) == expected
            assert slots_seen(second.port, EPISODES) == expected
    with pair.second() as restarted:
        assert slots_seen(restarted.port, EPISODES) == expected


@pytest.mark.slow
@pytest.mark.parametrize("episode", STRANGE_EPISODES)
def test_a_routing_key_is_the_episode_in_ascii_whatever_is_in_it(pair: Pair, episode: str) -> None:
    answer = ask(pair.first.port, episode_id=episode)
    kept = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
    assert answer.status == 200
    assert answer.headers["x-reflex-routing-key"] == quote(episode, safe=kept)


def versions(port: int) -> dict[str, str]:
    slots = httpx.get(f"http://127.0.0.1:{port}/health", timeout=HANGS_S).json()["slots"]
    return {name: slot["model_version"] for name, slot in slots.items()}


def answers_of_every_kind(port: int, behave: Behave, episode: str) -> dict[str, RawAnswer]:
    """Of a server with a place for nobody to wait: one answer of each status, with `episode` where it can be read."""
    body = act_body(1.0, episode_id=episode)
    answers = {
        "200": exchange(port, post_request(body))[0],
        "400": exchange(port, post_request(b'{"instruction": '))[0],
        "405": exchange(port, b"GET /act HTTP/1.1\r\nHost: localhost\r\n\r\n")[0],
        "413": exchange(port, HEAD.format(TOO_LONG).encode())[0],
        "422": exchange(port, post_request(orjson.dumps(orjson.loads(body) | {"state": [0.0]})))[0],
    }
    behave(delay_ms=1_500)
    answers["504"] = exchange(port, post_request(body, {"x-reflex-deadline-ms": "30"}))[0]
    answers["503 unread"] = run(refused_unread(port))
    return answers


async def refused_unread(port: int) -> RawAnswer:
    """The answer to the mere head of a request while every slot is full: nothing but the protocol can give it."""

    def send_head() -> RawAnswer:
        with connection(port) as one:
            one.send(HEAD.format(10).encode())
            return one.read()

    async with LoadClient(port) as client:
        filling = [
            asyncio.create_task(client.act(episode_id=episode))
            for episode in (*EPISODES, *(f"more-{number}" for number in range(60)))
        ]
        await asyncio.wait(filling, return_when=asyncio.FIRST_COMPLETED)  # one was refused: every slot is full
        answer = await asyncio.to_thread(send_head)
        await asyncio.gather(*filling)
    return answer


@pytest.mark.slow
def test_an_answer_that_is_given_before_a_request_is_whole_or_known_has_them_too(pair: Pair) -> None:
    late = exchange(pair.first.port, HEAD.format(10).encode() + b"{")[0]
    strange = exchange(pair.first.port, post_request(b"{}", {"host": "page.example"}))[0]
    assert [(answer.status, answer.code) for answer in (late, strange)] == [
        (408, "request_timeout"),
        (400, "invalid_http"),
    ]
    for answer in (late, strange):
        routing = routing_of(answer)
        assert set(routing) == set(ROUTING)
        assert (routing["x-reflex-routing-key"], routing["x-reflex-routing-degraded"]) == ("", "true")


@pytest.mark.slow
def test_the_four_headers_are_on_every_answer_and_say_what_the_contract_says(pair: Pair) -> None:
    port, episode = pair.first.port, "headers é"
    slot = slot_of(episode, SPLIT)
    known = versions(port)

    def behave(*, delay_ms: float = 0) -> None:
        pair.first.behave("first", delay_ms=delay_ms)
        pair.first.behave("second", delay_ms=delay_ms)

    try:
        answers = answers_of_every_kind(port, behave, episode)
    finally:
        behave()
    assert {kind: answer.status for kind, answer in answers.items()} == {kind: int(kind[:3]) for kind in answers}
    named = dict(zip(ROUTING, (slot, known[slot], "headers %C3%A9", "false"), strict=True))
    for kind in ("200", "422", "504"):
        assert routing_of(answers[kind]) == named, kind
    for kind in ("400", "405", "413", "503 unread"):
        drawn = routing_of(answers[kind])
        slot_drawn = drawn["x-reflex-policy-slot"]
        assert drawn == dict(zip(ROUTING, (slot_drawn, known[slot_drawn], "", "true"), strict=True)), kind


@pytest.mark.slow
def test_with_one_policy_no_answer_has_any_of_them(tmp_path: Path) -> None:
    with nonce_server(tmp_path, "--max-queue", "0") as server:
        answers = answers_of_every_kind(server.port, server.behave, "episode")
    assert {kind: answer.status for kind, answer in answers.items()} == {kind: int(kind[:3]) for kind in answers}
    for kind, answer in answers.items():
        assert not [name for name in answer.headers if name in ROUTING], kind
        assert b"policy_slot" not in answer.body
        assert b"routing_degraded" not in answer.body


@pytest.mark.slow
def test_a_slot_that_is_out_is_named_with_the_one_that_answered(lost: Lost) -> None:
    *failed, answer = lost.failing
    assert all((each.status, routing_of(each)["x-reflex-policy-slot"]) == (500, "b") for each in failed)
    diverted = dict(zip(ROUTING, ("a", lost.known["a"], IN_B, "true"), strict=True))
    assert routing_of(answer) == diverted
    assert (answer.json()["policy_slot"], answer.json()["routing_degraded"]) == ("a", True)
    assert answer.json()["model_version"] == lost.known["a"]


@pytest.mark.slow
def test_a_server_that_is_stopped_still_names_the_episodes_own_slot(lost: Lost) -> None:
    refused, answered = lost.draining, lost.in_flight
    assert (refused.status, refused.code, answered.status) == (503, "draining", 200)
    named = dict(zip(ROUTING, ("a", lost.known["a"], IN_A, "false"), strict=True))
    assert routing_of(refused) == routing_of(answered) == named
