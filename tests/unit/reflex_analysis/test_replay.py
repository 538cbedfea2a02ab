from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from reflex.client import MockTransport, ReflexClient, chunk
from reflex.errors import ServiceError, SetupError, TransportError, service_error
from reflex.traces.reader import TraceReader
from reflex.traces.schema import ImageRecord, RecordLine, RtcRecord, ShadowRecord, TraceHeader
from reflex_analysis.replay import Replay, asker, replay_recording
from reflex_analysis.replayable import TargetPolicy, read_target_policies, why_not
from support.traces import header, policy, request, smooth_chunk, write_trace

DEMO = {"a": TargetPolicy("demo", "sha256:demo", needs_images=False)}
WITH_CAMERA = {"a": TargetPolicy("demo", "sha256:demo", needs_images=True)}
JPEG = b"\xff\xd8\xff rest of a JPEG"
Answers = Callable[[httpx.Request], Any]


def as_recorded(_request: httpx.Request) -> dict[str, Any]:
    return dict(chunk(smooth_chunk().tolist()))


def changed_at(step: int, axis: int, by: float) -> Answers:
    def answer(_request: httpx.Request) -> dict[str, Any]:
        actions = smooth_chunk()
        actions[step, axis] += by
        return dict(chunk(actions.tolist()))

    return answer


def replayed(
    folder: Path,
    *records: RecordLine,
    answers: Any = as_recorded,
    policies: Mapping[str, TargetPolicy] = DEMO,
    **options: Any,
) -> tuple[Replay, list[httpx.Request]]:
    path = folder / "2026-11-21T14Z_0123abcd_1.jsonl.gz"
    lines = records if any(isinstance(record, TraceHeader) for record in records) else (header(), *records)
    write_trace(path, lines)
    transport = MockTransport(answers)
    with ReflexClient(transport=transport) as client:
        found = replay_recording(TraceReader(path), asker(client), policies, **options)
    return found, transport.requests


def test_the_same_answers_are_equal(tmp_path: Path) -> None:
    found, sent = replayed(tmp_path, *(request(seq) for seq in range(1, 4)))

    assert found.is_equal
    assert (found.replayed, found.equal, found.differing, found.max_abs) == (3, 3, 0, 0.0)
    assert len(sent) == 3


def test_the_same_inputs_and_noise_are_sent_under_a_new_request_id(tmp_path: Path) -> None:
    camera = ImageRecord("00", 2, 2, "jpeg", base64.b64encode(JPEG).decode())

    _, sent = replayed(tmp_path, request(1, images={"wrist": camera}, state=(1.5, 2.0), seed=77))

    body = json.loads(sent[0].content)
    assert body["state"] == [1.5, 2.0]
    assert body["seed"] == 77
    assert body["instruction"] == "pick up the red cup"
    assert body["episode_id"] == "e1"
    assert body["request_id"] != "r1"
    assert base64.b64decode(body["images"]["wrist"]) == JPEG


def test_raw_pixels_are_sent_without_loss(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    camera = ImageRecord("00", 7, 5, "raw", base64.b64encode(pixels.tobytes()).decode())

    _, sent = replayed(tmp_path, request(1, images={"image": camera}))

    image = Image.open(io.BytesIO(base64.b64decode(json.loads(sent[0].content)["images"]["image"])))
    np.testing.assert_array_equal(np.asarray(image), pixels)


def test_a_difference_is_reported_with_its_first_request_step_and_axis(tmp_path: Path) -> None:
    calls = iter([as_recorded, changed_at(12, 3, 0.25), changed_at(2, 6, -1.0)])

    found, _ = replayed(tmp_path, *(request(seq) for seq in (1, 2, 3)), answers=lambda sent: next(calls)(sent))

    assert not found.is_equal
    assert (found.equal, found.differing, found.max_abs) == (1, 2, 1.0)
    first, second = found.deviations
    assert (first.record_seq, first.step, first.axis, first.max_abs) == (2, 12, "roll", 0.25)
    assert (first.recorded, first.replayed) == (12 / 64, 12 / 64 + 0.25)
    assert (second.record_seq, second.step, second.axis) == (3, 2, "gripper")


def test_the_last_bit_counts_unless_the_tolerance_allows_it(tmp_path: Path) -> None:
    ulp = float(np.spacing(np.float32(49 / 64)))

    assert replayed(tmp_path, request(1), answers=changed_at(49, 0, ulp))[0].differing == 1
    assert replayed(tmp_path, request(1), answers=changed_at(49, 0, ulp), tolerance=ulp)[0].is_equal


def test_a_chunk_of_another_shape_differs(tmp_path: Path) -> None:
    found, _ = replayed(tmp_path, request(1), answers=[chunk(smooth_chunk(10).tolist())])

    assert found.differing == 1
    assert found.deviations[0].step is None


def test_what_is_compared_is_what_clients_got(tmp_path: Path) -> None:
    clamped = request(1, actions_raw=smooth_chunk(start=9.0), actions=smooth_chunk(), guard_clamped=True)

    assert replayed(tmp_path, clamped)[0].is_equal


@pytest.mark.parametrize(
    ("record", "policies", "reason"),
    [
        (request(1, status=503, error="queue_full", actions_raw=None), DEMO, "answered with an error"),
        (request(1, images={"image": ImageRecord("00", 2, 2, "jpeg")}), DEMO, "--record-images full"),
        (request(1), WITH_CAMERA, "--record-images full"),
        (request(1, seed=None), DEMO, "seed is not recorded"),
        (request(1, denoising_steps=5), DEMO, "fewer denoising steps"),
        (request(1, rtc=RtcRecord(smooth_chunk(), (1.0,), 5.0)), DEMO, "how is not recorded"),
        (request(1, images={"image": ImageRecord("00", 2, 2, "raw", "AAAA")}), DEMO, "damaged"),
        (request(1, images={"image": ImageRecord("00", 2, 2, "raw", "!")}), DEMO, "damaged"),
    ],
)
def test_what_cannot_be_replayed_is_counted_by_its_reason(
    tmp_path: Path, record: Any, policies: Any, reason: str
) -> None:
    found, sent = replayed(tmp_path, record, policies=policies)

    ((words, count),) = found.skipped.items()
    assert reason in words
    assert count == 1
    assert not sent
    assert not found.is_equal


def test_shadow_lines_are_no_requests(tmp_path: Path) -> None:
    found, sent = replayed(tmp_path, request(1), ShadowRecord(record_seq=1, policy="new@1"))

    assert found.is_equal
    assert len(sent) == 1


def test_a_request_that_fails_now_is_no_equal_one(tmp_path: Path) -> None:
    answers = [service_error("inference_failed", "the model failed"), dict(chunk(smooth_chunk().tolist()))]

    found, _ = replayed(tmp_path, request(1), request(2), answers=answers)

    assert found.failures == {"inference_failed": 1}
    assert (found.replayed, found.equal, found.differing, found.is_equal) == (2, 1, 0, False)


def test_a_server_that_is_gone_ends_the_replay(tmp_path: Path) -> None:
    with pytest.raises(TransportError):
        replayed(tmp_path, request(1), answers=[TransportError("gone"), TransportError("gone")])


def test_another_hash_is_said(tmp_path: Path) -> None:
    other = {"a": TargetPolicy("demo", "sha256:other", needs_images=False)}

    found, _ = replayed(tmp_path, request(1), policies=other)

    assert found.is_equal
    assert found.other_hashes == {"sha256:demo": "sha256:other"}
    assert replayed(tmp_path, request(1))[0].other_hashes == {}


def test_of_two_recorded_policies_only_the_served_one_is_replayed(tmp_path: Path) -> None:
    two = header({"a": policy("old"), "b": policy("demo")})
    records = [request(1, policy="old@1"), request(2, slot="b", episode_id="e2")]

    found, sent = replayed(tmp_path, two, *records)

    assert found.replayed == 1
    assert found.skipped == {"another policy of the recording answered it": 1}
    assert json.loads(sent[0].content)["episode_id"] == "e2"


def test_an_unknown_policy_is_asked_everything(tmp_path: Path) -> None:
    """A newer policy under another name: how far is it from each of the old ones?"""
    two = header({"a": policy("old"), "b": policy("older")})

    found, _ = replayed(tmp_path, two, request(1, policy="old@1"), request(2, slot="b", policy="older@1"))

    assert found.replayed == 2
    assert found.other_hashes == {"sha256:old": "sha256:demo", "sha256:older": "sha256:demo"}


def test_an_answer_of_the_other_slot_is_not_compared(tmp_path: Path) -> None:
    two = header({"a": policy("old"), "b": policy("demo")})
    policies = {"a": TargetPolicy("old", "sha256:old", False), "b": DEMO["a"]}
    answer = {**chunk(smooth_chunk().tolist()), "policy_slot": "b"}

    found, _ = replayed(tmp_path, two, request(1, policy="old@1"), answers=[answer], policies=policies)

    assert found.replayed == 0
    assert sum(found.skipped.values()) == 1


def test_the_limit_counts_what_is_replayed(tmp_path: Path) -> None:
    records = [request(1, status=503, actions_raw=None), *(request(seq) for seq in range(2, 9))]

    found, sent = replayed(tmp_path, *records, limit=3)

    assert (found.replayed, len(sent)) == (3, 3)


def test_the_guard_of_the_recording_is_reported(tmp_path: Path) -> None:
    unguarded = replace(header(), settings={"guard": False})

    found, _ = replayed(tmp_path, unguarded, request(1), guard=False)

    assert (found.guard_recorded, found.guard_replayed) == (False, False)


def test_progress_is_told_after_every_request(tmp_path: Path) -> None:
    seen: list[int] = []

    replayed(tmp_path, request(1), request(2), on_progress=lambda replay: seen.append(replay.replayed))

    assert seen == [1, 2]


def test_only_the_first_deviations_are_kept(tmp_path: Path) -> None:
    found, _ = replayed(tmp_path, *(request(seq) for seq in range(1, 40)), answers=changed_at(0, 0, 1.0))

    assert found.differing == 39
    assert [deviation.record_seq for deviation in found.deviations] == list(range(1, 21))


def test_the_policies_of_one_and_of_two_slots_are_read() -> None:
    one = {"policy_id": "demo", "policy_hash": "sha256:1", "cameras": [{"name": "image", "required": True}]}

    assert read_target_policies(one) == {"a": TargetPolicy("demo", "sha256:1", needs_images=True)}
    assert read_target_policies({"a": one, "b": {**one, "cameras": []}})["b"].needs_images is False


@pytest.mark.parametrize("config", [{"hello": 1}, {"policy_id": "x"}, {"a": {"policy_id": "x"}}])
def test_another_servers_config_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(SetupError, match="/config"):
        read_target_policies(config)


def test_a_retry_is_the_clients_business(tmp_path: Path) -> None:
    busy: ServiceError = service_error("queue_full", "try again", retry_after_s=0.01)

    found, sent = replayed(tmp_path, request(1), answers=[busy, dict(chunk(smooth_chunk().tolist()))])

    assert found.is_equal
    assert len(sent) == 2


def test_a_request_whose_actions_were_corrected_for_latency_is_not_repeated() -> None:
    reason = why_not(request(a2c2_applied=True), policy(), {"a": policy()}, {})

    assert reason is not None
    assert "--a2c2-checkpoint" in reason
