from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import numpy as np
import pytest

from lerobot_policy_reflex.asking import Asker
from lerobot_policy_reflex.observing import Sending
from reflex.client import MockAnswer, MockTransport, ReflexClient, chunk
from reflex.errors import ServiceError, service_error

ROWS = {"observation.state": np.array([[0.0], [1.0]], np.float32)}
ONE = {"observation.state": np.array([[0.5]], np.float32)}
LEFT = np.array([[3.0, 4.0], [5.0, 6.0], [0.0, 0.0]])


def asker(transport: MockTransport, **options: Any) -> Asker:
    return Asker(ReflexClient(transport=transport), Sending(), action_dim=2, **options)


def by_state(request: httpx.Request) -> MockAnswer:
    """A chunk of which one can see whose it is."""
    [state] = json.loads(request.content)["state"]
    return chunk([[state, step] for step in (0, 1, 2)])


def bodies(transport: MockTransport) -> list[dict[str, Any]]:
    return [json.loads(request.content) for request in transport.requests]


def test_each_row_of_a_batch_gets_its_own_chunk() -> None:
    got = asker(MockTransport(by_state)).chunk(ROWS)

    assert got.dtype == np.float32
    assert got.shape == (2, 3, 2)
    assert got[:, 0, 0].tolist() == [0.0, 1.0]


def test_a_row_keeps_its_episode_until_a_new_one_begins() -> None:
    transport = MockTransport(by_state)
    asking = asker(transport)

    for _ in range(2):
        asking.chunk(ROWS)
    asking.begin()
    asking.chunk(ROWS)

    ids = [body["episode_id"] for body in bodies(transport)]
    assert ids[0:2] == ids[2:4]
    assert len(set(ids)) == 4


def test_no_two_chunks_share_their_noise_and_a_run_can_be_repeated() -> None:
    runs = []
    for _ in range(2):
        transport = MockTransport(by_state)
        asking = asker(transport, seed=7)
        asking.chunk(ROWS)
        asking.begin()
        asking.chunk(ROWS)
        runs.append([body["seed"] for body in bodies(transport)])

    assert runs == [[7, 8, 9, 10]] * 2


def test_without_a_seed_none_is_sent() -> None:
    transport = MockTransport(by_state)
    asker(transport).chunk(ONE)

    assert "seed" not in bodies(transport)[0]


def test_the_left_over_and_the_delay_go_along() -> None:
    transport = MockTransport(by_state)
    asker(transport).chunk(ONE, left_over=LEFT, delay_steps=1)

    [body] = bodies(transport)
    assert (body["prev_actions"], body["inference_delay_steps"]) == ([[3.0, 4.0], [5.0, 6.0]], 1)


def test_a_delay_is_never_longer_than_what_is_left() -> None:
    transport = MockTransport(by_state)
    asker(transport).chunk(ONE, left_over=LEFT, delay_steps=90)

    assert bodies(transport)[0]["inference_delay_steps"] == 2


def test_a_robot_that_waited_says_that_nothing_is_left() -> None:
    transport = MockTransport(by_state)
    asker(transport).chunk(ONE, delay_steps=3)

    assert (bodies(transport)[0]["prev_actions"], bodies(transport)[0]["inference_delay_steps"]) == ([], 0)


def test_chunks_of_two_policies_are_cut_to_the_shorter() -> None:
    answers = MockTransport([chunk([[0.0, 0.0]] * 3), chunk([[0.0, 0.0]] * 2)])

    assert asker(answers).chunk(ROWS).shape == (2, 2, 2)


@pytest.mark.parametrize(
    ("fields", "words"),
    [({}, "started without --rtc"), ({"rtc_applied": False, "rtc_reason": "policy_changed"}, "policy_changed")],
)
def test_a_server_that_did_not_continue_is_told_of_once(
    fields: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    asking = asker(MockTransport([chunk([[0.0, 0.0]], **fields)]))

    with caplog.at_level(logging.WARNING):
        for left_over in (None, LEFT, LEFT):
            asking.chunk(ONE, left_over=left_over)

    assert [words in record.message for record in caplog.records] == [True]


def test_where_nothing_was_left_nothing_is_missed(caplog: pytest.LogCaptureFixture) -> None:
    asker(MockTransport([chunk([[0.0, 0.0]], rtc_applied=False, rtc_reason="used_up")])).chunk(ONE)

    assert not caplog.records


def test_a_chunk_that_was_continued_is_no_matter(caplog: pytest.LogCaptureFixture) -> None:
    asker(MockTransport([chunk([[0.0, 0.0]], rtc_applied=True)])).chunk(ONE, left_over=LEFT)

    assert not caplog.records


def test_the_server_s_refusal_is_raised() -> None:
    with pytest.raises(ServiceError, match="no such camera"):
        asker(MockTransport([service_error("unknown_camera", "no such camera")])).chunk(ONE)
