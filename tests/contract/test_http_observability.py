"""`/health`, `/config`, `/metrics`, and that docs/http-api.md tells the truth about them."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from reflex.client.embodiment import embodiment_of
from reflex.embodiments import load_embodiment
from reflex.errors import CONTROL_CODES, STATUS_OF
from reflex.model_repository import CONFIG_FILE
from reflex.wire import EMBODIMENT_FIELD, ActTelemetry
from support.bodies import valid_body
from support.hostile_served import Served

ROOT = Path(__file__).parents[2]
UNUSED = (
    *("reflex_shadow_total", "reflex_shadow_max_abs", "reflex_slo_violations_total", "reflex_rtc_total"),
    *("reflex_a2c2_total", "reflex_answers_by_steps_total", "reflex_prefix_cache_total"),
)
"""Without a shadow, an objective, real-time chunking, a correction, variants or kept prefixes these have no values."""
LABELS = {
    "reflex_act_latency_seconds": {"embodiment", "policy_slot", "inference_mode"},
    "reflex_queue_seconds": {"policy_slot"},
    "reflex_act_total": {"embodiment", "status"},
    "reflex_guard_clamped_total": {"embodiment"},
    "reflex_cache_hit_total": {"embodiment", "policy_slot"},
    "reflex_cache_miss_total": {"embodiment", "policy_slot"},
    "reflex_in_flight_requests": {"policy_slot"},
    "reflex_robot_info": {"robot_id", "embodiment", "model_id"},
    "reflex_breaker_open": {"policy_slot"},
    "reflex_triton_restarts": set(),
    "reflex_slot_answers_total": {"policy_slot", "status"},
    "reflex_slot_guard_clamped_total": {"policy_slot"},
    "reflex_implausible_actions_total": {"policy_slot"},
    "reflex_policy_info": {"policy_slot", "model_id"},
    "reflex_split_percent": set(),
    "reflex_streams_open": set(),
    "reflex_prefix_cache_bytes": set(),
    "reflex_prefix_cache_evicted_total": set(),
    "reflex_stream_observations_total": {"outcome"},
    "reflex_slo_violated": {"policy_slot"},
    "reflex_records_written": set(),
    "reflex_records_dropped": set(),
    "reflex_recording_stopped": set(),
    "reflex_keys_stale": set(),
    "reflex_sessions_stale": set(),
    "reflex_traces_dropped": set(),
    "reflex_shadow_latency_seconds": set(),
    "reflex_shadow_cosine_distance": set(),
    "reflex_shadow_violations_total": set(),
    **{name: set[str]() for name in UNUSED},
}
GAUGES = {
    *("reflex_in_flight_requests", "reflex_robot_info", "reflex_breaker_open", "reflex_triton_restarts"),
    *("reflex_policy_info", "reflex_split_percent", "reflex_slo_violated", "reflex_records_written"),
    *("reflex_records_dropped", "reflex_recording_stopped", "reflex_keys_stale", "reflex_traces_dropped"),
    "reflex_sessions_stale",
    "reflex_prefix_cache_bytes",
    "reflex_streams_open",
}
HISTOGRAMS = {
    *("reflex_act_latency_seconds", "reflex_shadow_latency_seconds", "reflex_shadow_cosine_distance"),
    "reflex_shadow_max_abs",
    "reflex_queue_seconds",
}


def exposed(server: Served) -> dict[str, tuple[str, set[str], list[float]]]:
    """Metric name -> type, label names, values; without the library's own `_created` series."""
    metrics = {}
    for family in text_string_to_metric_families(server.client.get("/metrics").text):
        name = family.name + "_total" * (family.type == "counter")
        if name.endswith("_created"):
            continue
        samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        labels = {label for sample in samples for label in sample.labels} - {"le"}
        metrics[name] = (family.type, labels, [sample.value for sample in samples])
    return metrics


def documented_rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading of docs/http-api.md."""
    text = (ROOT / "docs" / "http-api.md").read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    _, _, from_table = text.partition("\n|")
    lines = list(itertools.takewhile(lambda line: line.startswith("|"), f"|{from_table}".splitlines()))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_health_of_a_ready_server_has_exactly_the_promised_fields(demo: Served) -> None:
    answer = demo.client.get("/health")
    health, config = answer.json(), demo.client.get("/config").json()
    uptime_s, _time = health.pop("uptime_seconds"), health.pop("time")
    assert answer.status_code == 200
    assert health == {
        "status": "ready",
        "model_loaded": True,
        "model_version": f"demo@{config['policy_hash'].removeprefix('sha256:')[:12]}",
        "policy_hash": config["policy_hash"],
        "guard_active": True,
        "inference_mode": "onnx_cpu",
        "robot_id": "arm-7",
        "cuda_graphs_active": False,
        "device": "cpu",
    }
    assert 0 < uptime_s < demo.client.get("/health").json()["uptime_seconds"]


def test_robot_id_is_null_when_none_is_configured(unguarded: Served) -> None:
    assert unguarded.client.get("/health").json()["robot_id"] is None


def test_liveness_is_the_processs_own(demo: Served) -> None:
    answer = demo.client.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "live"})


def test_config_is_the_policys_own_file_and_its_embodiment(demo: Served) -> None:
    file = json.loads((ROOT / "model_repository" / "demo" / CONFIG_FILE).read_text())
    config = demo.client.get("/config").json()
    assert embodiment_of(config) == load_embodiment(file["embodiment"])
    assert {name: value for name, value in config.items() if name != EMBODIMENT_FIELD} == file


def test_metrics_are_exactly_the_promised_names_types_and_labels(demo: Served) -> None:
    demo.act()
    metrics = exposed(demo)
    assert {name: labels for name, (_, labels, _) in metrics.items()} == LABELS
    assert {name for name, (kind, _, _) in metrics.items() if kind == "gauge"} == GAUGES
    assert {name for name, (kind, _, _) in metrics.items() if kind == "histogram"} == HISTOGRAMS
    assert {name for name in metrics if name.endswith("_total")} == {*LABELS} - GAUGES - HISTOGRAMS


def test_metrics_come_as_prometheus_text(demo: Served) -> None:
    assert demo.client.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")


def test_every_answer_of_act_is_counted_by_its_status(demo: Served) -> None:
    before = _by_status(demo)
    for body in (valid_body(), {}, valid_body(state=[0.0])):
        demo.act(body)
    demo.client.get("/act")
    after = _by_status(demo)
    counted = {status: after[status] - before.get(status, 0) for status in after}
    assert {status: count for status, count in counted.items() if count} == {"200": 1, "400": 1, "422": 1, "405": 1}


def test_a_resent_request_counts_as_a_cache_hit(demo: Served) -> None:
    hits, misses = (exposed(demo)[f"reflex_cache_{kind}_total"][2][0] for kind in ("hit", "miss"))
    body = valid_body(episode_id="e-metrics", request_id="r-1")
    demo.act(body)
    demo.act(body)
    after = exposed(demo)
    assert after["reflex_cache_hit_total"][2] == [hits + 1]
    assert after["reflex_cache_miss_total"][2] == [misses + 1]


def test_ids_never_become_labels_except_the_configured_robot_id(demo: Served) -> None:
    demo.act(valid_body(episode_id="qZ7mark9Xv", request_id="qZ7mark9Xv"))
    text = demo.client.get("/metrics").text
    assert "qZ7mark9Xv" not in text
    assert 'robot_id="arm-7"' in text


def test_every_metric_is_in_the_reference_and_nothing_else(demo: Served) -> None:
    rows = documented_rows("GET /metrics")
    documented = {name.strip("`"): set(re.findall(r"`(\w+)`", labels)) for name, _, labels, _ in rows}
    demo.act()  # what counts answers has no labels before the first
    shown = {name: labels for name, (_, labels, _) in exposed(demo).items()}
    assert {name: shown[name] if name in UNUSED else labels for name, labels in documented.items()} == shown


def test_every_error_code_is_in_the_reference_with_its_status() -> None:
    rows = {code.strip("`"): int(status) for status, code, _ in documented_rows("Errors")}
    assert rows == {code: status for code, status in STATUS_OF.items() if code not in CONTROL_CODES}


def test_every_field_of_a_200_and_of_health_is_in_the_reference(demo: Served) -> None:
    answered = {row[0].strip("`") for row in documented_rows("The answer")}
    switched_off = {*ActTelemetry.__annotations__} - {"robot_id"}
    assert switched_off < answered
    assert answered - switched_off == set(demo.act().json())
    health = {row[0].strip("`") for row in documented_rows("GET /health")}
    optional = {"reason", "slots", "slo_violated", "shadow", "recording", "keys", "sessions", "injected_latency_ms"}
    optional |= {"gpu", "device_passed_over"}
    assert health - optional == set(demo.client.get("/health").json())
    assert optional <= health


def test_every_request_field_of_the_schema_is_in_the_reference(demo: Served) -> None:
    schema = demo.client.get("/openapi.json").json()["paths"]["/act"]["post"]["requestBody"]["content"]
    forms = schema["application/json"]["schema"]["oneOf"]
    described = {name for form in forms for name in form["properties"]}
    assert described == {row[0].strip("`") for row in documented_rows("POST /act")}


def _by_status(server: Served) -> dict[str, float]:
    text = server.client.get("/metrics").text
    found = re.findall(r'^reflex_act_total\{.*status="(\d+)".*\} (\S+)$', text, re.MULTILINE)
    return {status: float(value) for status, value in found}
