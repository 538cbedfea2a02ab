"""Recordings of real-time chunking: each request says what its server had reckoned with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reflex.client import MockTransport, ReflexClient, chunk
from reflex.traces.reader import TraceReader
from reflex.traces.schema import RequestRecord, RtcRecord
from reflex_analysis.child_server import _command
from reflex_analysis.replay import Replay, asker, replay_recording
from reflex_analysis.replayable import TargetPolicy
from support.traces import header, request, smooth_chunk, write_trace

DEMO = {"a": TargetPolicy("demo", "sha256:demo", needs_images=False)}
RTC = RtcRecord(smooth_chunk(40), (1.0, 0.5), 10.0, 10, 3)
REST = ((0.25,) * 7, (0.5,) * 7)


def replayed(folder: Path, record: RequestRecord, **answered: Any) -> tuple[Replay, dict[str, Any]]:
    path = folder / "2026-11-21T14Z_0123abcd_1.jsonl.gz"
    write_trace(path, [header(), record])
    transport = MockTransport([chunk(smooth_chunk().tolist(), **answered)])
    with ReflexClient(transport=transport) as client:
        found = replay_recording(TraceReader(path), asker(client), DEMO)
    return found, json.loads(transport.requests[0].content)


def said(body: dict[str, Any]) -> tuple[object, ...]:
    return tuple(body.get(name) for name in ("executed_steps", "inference_delay_steps", "prev_actions"))


def test_what_was_continued_is_continued_from_the_same_step_with_the_same_delay(tmp_path: Path) -> None:
    found, body = replayed(tmp_path, request(1, rtc=RTC), rtc_applied=True, rtc_delay_steps=3)
    assert said(body) == (10, 3, None)
    assert found.is_equal


def test_a_rest_that_the_client_sent_is_sent_again(tmp_path: Path) -> None:
    rtc = RtcRecord(smooth_chunk(2), (1.0,), 10.0, None, 2)
    found, body = replayed(tmp_path, request(1, rtc=rtc, prev_actions=REST), rtc_applied=True, rtc_delay_steps=2)
    assert said(body) == (None, 2, [list(row) for row in REST])
    assert found.is_equal


@pytest.mark.parametrize("reason", ["first_chunk", "used_up", "policy_changed", "expired"])
def test_what_continued_nothing_is_made_to_continue_nothing(tmp_path: Path, reason: str) -> None:
    found, body = replayed(tmp_path, request(1, rtc_reason=reason), rtc_applied=False, rtc_delay_steps=0)
    assert said(body) == (50, None, None)
    assert found.is_equal


def test_a_recording_without_it_says_nothing_of_chunks(tmp_path: Path) -> None:
    found, body = replayed(tmp_path, request(1))
    assert said(body) == (None, None, None)
    assert found.is_equal


@pytest.mark.parametrize(
    ("rtc", "answered"),
    [
        (RTC, {}),
        (RTC, {"rtc_applied": False, "rtc_delay_steps": 3}),
        (RTC, {"rtc_applied": True, "rtc_delay_steps": 4}),
        (None, {"rtc_applied": True, "rtc_delay_steps": 3}),
    ],
)
def test_where_the_server_does_otherwise_nothing_is_compared(
    tmp_path: Path, rtc: RtcRecord | None, answered: dict[str, Any]
) -> None:
    found, _ = replayed(tmp_path, request(1, rtc=rtc), **answered)
    ((reason, count),) = found.skipped.items()
    assert reason.startswith("real-time chunking did otherwise than now")
    assert (count, found.replayed) == (1, 0)


@pytest.mark.parametrize(
    ("rtc", "options"),
    [
        (None, []),
        ("yes", []),
        ({}, ["--rtc"]),
        ({"schedule": "exp", "max_guidance": 5.0}, ["--rtc", "--rtc-schedule=exp", "--rtc-max-guidance=5.0"]),
        ({"execution_horizon": 7, "other": "--insecure"}, ["--rtc", "--rtc-execution-horizon=7"]),
        ({"schedule": "--insecure"}, ["--rtc", "--rtc-schedule=--insecure"]),
    ],
)
def test_a_repository_is_served_with_the_options_of_the_recording(rtc: object, options: list[str]) -> None:
    plain = _command(Path("models"), None, 1, guard=True, rtc=None)
    assert _command(Path("models"), None, 1, guard=True, rtc=rtc) == plain + options
