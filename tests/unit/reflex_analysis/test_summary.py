from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from reflex.traces.reader import TraceReader
from reflex.traces.schema import DroppedRecord, RecordLine, ShadowRecord, ViolationRecord
from reflex_analysis.figures import Summary
from reflex_analysis.summary import summarise
from support.traces import header, policy, request, smooth_chunk, write_trace


def summary_of(folder: Path, *records: RecordLine) -> Summary:
    write_trace(folder / "2026-11-21T14Z_0123abcd_1.jsonl.gz", records)
    return summarise(TraceReader(folder))


def test_latency_percentiles_are_exact_and_of_the_answers_only(tmp_path: Path) -> None:
    answers = [request(seq, latency_ms=float(seq)) for seq in range(1, 102)]
    failed = request(102, status=503, error="queue_full", actions_raw=None, latency_ms=9999.0)

    (slot,) = summary_of(tmp_path, header(), *answers, failed).slots

    assert slot.latency is not None
    assert (slot.latency.p50_ms, slot.latency.p90_ms, slot.latency.p99_ms) == (51.0, 91.0, 100.0)
    assert (slot.latency.max_ms, slot.latency.mean_ms) == (101.0, 51.0)
    assert (slot.requests, slot.answers) == (102, 101)
    assert sum(slot.latency_counts) == 101
    assert sum(point.requests for point in slot.timeline) == 102
    assert sum(point.errors for point in slot.timeline) == 1


def test_errors_are_counted_by_code_the_most_common_first(tmp_path: Path) -> None:
    codes = ["queue_full", "queue_full", "deadline_exceeded", None]
    errors = [request(seq, status=503, error=code, actions_raw=None) for seq, code in enumerate(codes, 1)]

    (slot,) = summary_of(tmp_path, header(), *errors).slots

    assert list(slot.errors.items()) == [("queue_full", 2), ("deadline_exceeded", 1), ("http_503", 1)]
    assert slot.latency is None
    assert slot.jerk is None


def test_what_clients_asked_wrongly_is_no_error_of_the_server(tmp_path: Path) -> None:
    statuses = [(400, "invalid_request"), (422, "unknown_camera"), (422, "unknown_camera"), (499, None), (500, None)]
    refused = [request(seq, status=status, error=code, actions_raw=None, latency_ms=9999.0)
               for seq, (status, code) in enumerate(statuses, 2)]  # fmt: skip

    (slot,) = summary_of(tmp_path, header(), request(1), *refused).slots

    assert list(slot.client_errors.items()) == [("unknown_camera", 2), ("invalid_request", 1), ("http_499", 1)]
    assert slot.errors == {"http_500": 1}
    assert (slot.requests, slot.answers) == (6, 1)
    assert [sum(getattr(point, name) for point in slot.timeline) for name in ("requests", "errors")] == [6, 1]
    assert slot.latency is not None
    assert slot.latency.max_ms == 10.0


def test_what_the_guard_did_is_counted_by_kind_and_by_axis(tmp_path: Path) -> None:
    violations = tuple(ViolationRecord(step, axis, "", 2.0, 1.0, kind) for step, axis, kind in
                       ((0, 0, "above_range"), (1, 0, "step_limit"), (2, 6, "above_range")))  # fmt: skip
    clamped = request(1, guard_clamped=True, violations=violations, actions=smooth_chunk())

    (slot,) = summary_of(tmp_path, header(), clamped, request(2)).slots

    assert slot.clamped == 1
    assert slot.violations == {"above_range": 2, "step_limit": 1}
    assert {axis.name: axis.violations for axis in slot.axes if axis.violations} == {"x": 2, "gripper": 1}


def test_slots_and_policies_are_kept_apart(tmp_path: Path) -> None:
    policies = {"a": policy("one"), "b": policy("two")}
    newer = {"a": policy("three"), "b": policy("two")}

    found = summary_of(
        tmp_path, header(policies), request(1, policy="one@1"), request(2, slot="b", policy="two@1", episode_id="e2"),
        header(newer), request(3, policy="three@1", routing_degraded=True),
    )  # fmt: skip

    assert [(slot.slot, slot.policy, slot.policy_hash) for slot in found.slots] == [
        ("a", "one@1", "sha256:one"), ("a", "three@1", "sha256:three"), ("b", "two@1", "sha256:two"),
    ]  # fmt: skip
    assert [slot.degraded for slot in found.slots] == [0, 1, 0]
    assert (found.requests, found.episodes) == (3, 2)


def test_a_variant_with_fewer_steps_stands_behind_the_policy_that_it_stands_in_for(tmp_path: Path) -> None:
    policies = {"a": policy("one"), "b": policy("two")}
    reduced = [request(seq, policy="one_s4@1", denoising_steps=4) for seq in (1, 4)]

    found = summary_of(
        tmp_path, header(policies), reduced[0], request(2, policy="one@one00000"),
        request(3, slot="b", policy="two@two00000"), reduced[1],
    )  # fmt: skip

    assert [(slot.policy, slot.requests, slot.reduced_from) for slot in found.slots] == [
        ("one@one00000", 1, None), ("one_s4@1", 2, "one@one00000"), ("two@two00000", 1, None),
    ]  # fmt: skip


def test_smoothness_is_the_mean_over_requests_by_axis(tmp_path: Path) -> None:
    cubic = np.repeat((np.arange(50, dtype=np.float32) ** 3)[:, None], 7, axis=1)
    cubic[:, 1:] = 0

    (slot,) = summary_of(tmp_path, header(), request(1, episode_id="e1"), request(2, actions_raw=cubic)).slots

    assert slot.axes[0].jerk == pytest.approx(18, rel=1e-3)
    assert slot.axes[1].jerk == pytest.approx(0, abs=1e-9)
    assert slot.jerk == pytest.approx(18 / 7, rel=1e-3)


def test_shadows_are_summed_up_by_policy(tmp_path: Path) -> None:
    lines = [
        ShadowRecord(record_seq=1, policy="new@1", cosine=1.0, max_abs=(0.1, 0.0), latency_ms=10.0, violations=1),
        ShadowRecord(record_seq=2, policy="new@1", cosine=0.5, max_abs=(0.0, 0.3), latency_ms=20.0, violations=2),
        ShadowRecord(record_seq=3, policy="new@1", error="timeout"),
    ]

    (shadow,) = summary_of(tmp_path, header({"a": policy(), "shadow": policy("new")}), request(1), *lines).shadows

    assert (shadow.requests, shadow.violations, shadow.errors) == (3, 3, {"timeout": 1})
    assert (shadow.mean_cosine, shadow.least_cosine) == (0.75, 0.5)
    assert shadow.max_abs == {"x": 0.1, "y": 0.3}
    assert shadow.latency is not None
    assert shadow.latency.max_ms == 20.0


def test_an_empty_recording_is_a_summary_of_nothing(tmp_path: Path) -> None:
    found = summary_of(tmp_path, header(), DroppedRecord(2))

    assert (found.requests, found.slots, found.losses.dropped) == (0, (), 2)


def test_one_request_is_enough(tmp_path: Path) -> None:
    (slot,) = summary_of(tmp_path, header(), request(1)).slots

    assert sum(slot.latency_counts) == 1
    assert sum(point.requests for point in slot.timeline) == 1


def test_a_summary_is_json(tmp_path: Path) -> None:
    found = summary_of(tmp_path, header(), request(1), request(2, status=503, error="queue_full", actions_raw=None))

    assert json.loads(json.dumps(dataclasses.asdict(found), allow_nan=False))["requests"] == 2
