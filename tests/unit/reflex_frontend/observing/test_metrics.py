"""/metrics: the names and labels that dashboards rely on."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from reflex_frontend.observing.metrics import Metrics
from support.fakes import served_policy

LABELS = {
    "reflex_act_latency_seconds": {"embodiment", "policy_slot", "inference_mode", "le"},
    "reflex_queue_seconds": {"policy_slot", "le"},
    "reflex_act": {"embodiment", "status"},
    "reflex_guard_clamped": {"embodiment"},
    "reflex_cache_hit": {"embodiment", "policy_slot"},
    "reflex_cache_miss": {"embodiment", "policy_slot"},
    "reflex_in_flight_requests": {"policy_slot"},
    "reflex_robot_info": {"robot_id", "embodiment", "model_id"},
}


def samples(metrics: Metrics) -> dict[str, float]:
    """Value by `name{label values}`."""
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def test_every_metric_of_the_contract_is_there_with_its_labels() -> None:
    metrics = Metrics.of_one(served_policy(), "arm-7")
    metrics.count_answer(200)
    metrics.of_slot("a").observe_success(0.01, clamped=True)
    families = {family.name: family for family in text_string_to_metric_families(metrics.exposition().decode())}
    for name, labels in LABELS.items():
        found = {label for sample in families[name].samples for label in sample.labels}
        assert found == labels, name


def test_answers_are_counted_by_status() -> None:
    metrics = Metrics.of_one(served_policy(), None)
    for status in (200, 200, 503):
        metrics.count_answer(status)
    counts = samples(metrics)
    assert counts["reflex_act_total['200', 'franka']"] == 2
    assert counts["reflex_act_total['503', 'franka']"] == 1


def test_only_successes_have_a_latency_and_only_clamped_ones_count_as_clamped() -> None:
    metrics = Metrics.of_one(served_policy(), None)
    metrics.of_slot("a").observe_success(0.010, clamped=False)
    metrics.of_slot("a").observe_success(0.020, clamped=True)
    counts = samples(metrics)
    assert counts["reflex_act_latency_seconds_count['a', 'franka', 'onnx_cpu']"] == 2
    assert counts["reflex_guard_clamped_total['franka']"] == 1


def test_the_configured_robot_id_is_the_only_id_that_becomes_a_label() -> None:
    assert (
        samples(Metrics.of_one(served_policy(), "arm-7"))["reflex_robot_info['arm-7', 'franka', 'small@abababababab']"]
        == 1
    )


def test_two_servers_in_one_process_do_not_share_their_counts() -> None:
    first, second = (Metrics.of_one(served_policy(), None) for _ in range(2))
    first.count_answer(200)
    assert not any(name.startswith("reflex_act_total") for name in samples(second))
