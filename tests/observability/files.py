"""Where the files for Prometheus and Grafana lie, and which metrics there are to ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from prometheus_client import Metric

from reflex_frontend.observing.metrics import Metrics
from reflex_frontend.policy.policy import load_policy

__all__ = [
    "ALERTS",
    "ALERTS_TEST",
    "CHART_COPIES",
    "DASHBOARD",
    "PROMETHEUS",
    "REPOSITORY",
    "family_names",
    "series_names",
]

REPOSITORY: Final = Path(__file__).parents[2]
OBSERVABILITY: Final = REPOSITORY / "observability"
ALERTS: Final = OBSERVABILITY / "alerts.yml"
ALERTS_TEST: Final = OBSERVABILITY / "alerts_test.yml"
PROMETHEUS: Final = OBSERVABILITY / "prometheus.yml"
DASHBOARD: Final = OBSERVABILITY / "grafana" / "reflex.json"
CHART_COPIES: Final = {
    ALERTS: REPOSITORY / "helm" / "reflex" / "files" / "alerts.yml",
    DASHBOARD: REPOSITORY / "helm" / "reflex" / "files" / "dashboard.json",
}

# https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/metrics.html
TRITON: Final = frozenset(
    {
        "nv_inference_request_success", "nv_inference_request_failure", "nv_inference_count",
        "nv_inference_exec_count", "nv_inference_pending_request_count", "nv_inference_queue_duration_us",
        "nv_inference_compute_input_duration_us", "nv_inference_compute_infer_duration_us",
        "nv_inference_compute_output_duration_us", "nv_gpu_utilization", "nv_cpu_utilization",
    }
)  # fmt: skip


def series_names() -> frozenset[str]:
    """Every name that may stand in a query: the frontend's, as they are exposed, and Triton's."""
    return TRITON | {name for family in _families() for name in _exposed(family)}


def family_names() -> set[str]:
    """The frontend's metrics, as its registry calls them: without `_total` and `_bucket`."""
    return {family.name for family in _families()}


def _families() -> list[Metric]:
    return list(Metrics.of_one(load_policy(REPOSITORY / "model_repository", None), None).registry.collect())


def _exposed(family: Metric) -> set[str]:
    if family.type == "histogram":
        return {f"{family.name}_bucket", f"{family.name}_sum", f"{family.name}_count"}
    return {f"{family.name}_total"} if family.type == "counter" else {family.name}
