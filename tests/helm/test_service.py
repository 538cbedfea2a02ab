"""How a release scales, survives and is reached, watched and explained."""

from __future__ import annotations

import pytest

from helm.chart import CHART, REPOSITORY, merged, notes, of_kind, only, refusal, render
from helm.table import ENGINES, H100, KEDA, L40S, SAME_NAMESPACE


def test_the_hpa_scales_on_a_metric_that_the_frontend_has() -> None:
    [metric] = only(render({"autoscaling": {"kind": "hpa"}}), "HorizontalPodAutoscaler")["spec"]["metrics"]
    contract = (REPOSITORY / "docs" / "http-api.md").read_text(encoding="utf-8")

    assert metric["type"] == "Pods"
    assert f"| `{metric['pods']['metric']['name']}` | gauge |" in contract
    assert metric["pods"]["target"] == {"type": "AverageValue", "averageValue": "4"}


def test_keda_asks_for_all_time_over_all_requests() -> None:
    [trigger] = only(render(KEDA), "ScaledObject")["spec"]["triggers"]
    where = 'namespace="robots",service="cell-reflex-metrics",reflex_pool="default"'
    query = (
        f'0.001 * sum(rate(nv_inference_queue_duration_us{{{where},model=~"(.+)_(encoder|denoise)"}}[2m])) '
        f'/ (sum(rate(nv_inference_request_success{{{where},model=~"(.+)_denoise"}}[2m])) > 0) or vector(0)'
    )

    assert trigger["metadata"]["query"] == query
    assert trigger["metricType"] == "Value", "a mean must not be divided by the number of pods once more"


def test_the_query_s_labels_are_those_that_the_monitor_gives() -> None:
    release = render(merged(KEDA, {"pools": [L40S]}))
    monitor, scaled = only(release, "ServiceMonitor"), only(release, "ScaledObject")
    service = next(each for each in of_kind(release, "Service") if each["metadata"]["name"] == "cell-reflex-metrics")
    pod_labels = only(release, "Deployment")["spec"]["template"]["metadata"]["labels"]

    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} == {
        p["name"] for p in service["spec"]["ports"]
    }
    assert monitor["spec"]["podTargetLabels"] == ["reflex-pool"]
    assert f'reflex_pool="{pod_labels["reflex-pool"]}"' in scaled["spec"]["triggers"][0]["metadata"]["query"]


def test_only_one_of_both_counts_the_pods() -> None:
    assert only(render(), "Deployment")["spec"]["replicas"] == 1
    assert "replicas" not in only(render({"autoscaling": {"kind": "hpa"}}), "Deployment")["spec"]


def test_each_pool_is_scaled_for_itself_and_all_share_one_service() -> None:
    release = render({"pools": [L40S, H100], "autoscaling": {"kind": "hpa"}})
    targets = {each["spec"]["scaleTargetRef"]["name"] for each in of_kind(release, "HorizontalPodAutoscaler")}
    selector = only(release, "Service")["spec"]["selector"]

    assert targets == {"cell-reflex-l40s", "cell-reflex-h100"}
    for deployment in of_kind(release, "Deployment"):
        assert selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_selectors_of_deployments_do_not_overlap() -> None:
    release = render({"pools": [L40S, H100]})
    selectors = [each["spec"]["selector"]["matchLabels"] for each in of_kind(release, "Deployment")]

    assert len({selector["reflex-pool"] for selector in selectors}) == 2


def test_the_service_does_not_send_robots_to_the_job_or_the_test() -> None:
    release = render(ENGINES)
    selector = only(release, "Service")["spec"]["selector"]
    others = [
        only(release, "Job")["spec"]["template"]["metadata"]["labels"],
        only(release, "Pod")["metadata"]["labels"],
    ]

    assert not any(selector.items() <= labels.items() for labels in others)


def test_only_the_frontend_s_port_is_open_and_the_pod_calls_nobody() -> None:
    spec = only(render(), "NetworkPolicy")["spec"]

    assert spec["ingress"] == [{"ports": [{"protocol": "TCP", "port": "http"}]}]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["egress"] == []


def test_a_restricted_service_still_lets_the_helm_test_in() -> None:
    release = render({"networkPolicy": {"from": SAME_NAMESPACE}})
    [rule] = only(release, "NetworkPolicy")["spec"]["ingress"]
    labels = only(release, "Pod")["metadata"]["labels"]

    assert rule["from"][0] == SAME_NAMESPACE[0]
    assert rule["from"][1]["podSelector"]["matchLabels"].items() <= labels.items()


def test_a_pod_that_is_not_ready_does_not_hold_up_a_node() -> None:
    assert only(render(), "PodDisruptionBudget")["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_nginx_lets_the_largest_body_through() -> None:
    annotations = only(render({"ingress": {"enabled": True, "controller": "nginx"}}), "Ingress")["metadata"][
        "annotations"
    ]

    assert annotations == {"nginx.ingress.kubernetes.io/proxy-body-size": "8m"}


def test_your_own_annotation_wins() -> None:
    own = {"nginx.ingress.kubernetes.io/proxy-body-size": "2m"}
    values = {"ingress": {"enabled": True, "controller": "nginx", "annotations": own}}

    assert only(render(values), "Ingress")["metadata"]["annotations"] == own


@pytest.mark.parametrize(
    ("value", "file"), [("prometheusRule", "files/alerts.yml"), ("dashboard", "files/dashboard.json")]
)
def test_the_observability_of_the_chart_is_that_of_the_repository(value: str, file: str) -> None:
    values = {"monitoring": {value: {"enabled": True}}}
    if not (CHART / file).is_file():
        assert f"monitoring.{value}.enabled needs {file}" in refusal(values)
        return

    originals = [path.read_bytes() for path in (REPOSITORY / "observability").rglob("*") if path.is_file()]
    assert (CHART / file).read_bytes() in originals
    assert render(values)


def test_the_notes_say_the_next_command_and_warn() -> None:
    text = notes()

    assert "helm test cell --namespace robots" in text
    assert "rollout status deployment/cell-reflex" in text
    assert "UNTRAINED" in text
    assert "no API keys" in text


def test_the_notes_of_a_guarded_release_do_not_warn() -> None:
    claim = {"modelRepository": {"source": "claim", "claim": {"name": "p"}}}
    text = notes(merged(claim, {"auth": {"existingSecret": "keys"}, "tests": {"apiKeySecret": "one"}}))

    assert "UNTRAINED" not in text
    assert "WARNING" not in text
