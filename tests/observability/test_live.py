"""A real Prometheus scrapes a real server and its Triton under load; every query of the dashboard finds data."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from observability.dashboard import Query, annotation_queries, queries, variables
from observability.live import loaded, running_stack
from observability.prometheus import Prometheus, running_prometheus, tool
from support.outside.control_plane import running_control
from support.waiting import wait_until

pytestmark = pytest.mark.slow

LOAD_S = 20.0


@dataclass(frozen=True)
class Watched:
    """What Prometheus has seen of the load, which ended then."""

    prometheus: Prometheus
    ended_at: float
    statuses: Counter[int]

    def values_of(self, query: Query) -> list[float]:
        expression = query.substituted
        return self.prometheus.values(expression, ended_at=self.ended_at, seconds=LOAD_S, is_instant=query.is_instant)

    def latest(self, expression: str) -> list[float]:
        """Of now, after the load."""
        return self.prometheus.values(expression, ended_at=time.time(), seconds=0, is_instant=True)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    tool("prometheus")  # skips before anything slow
    folder = tmp_path_factory.mktemp("observed")
    (folder / "prometheus").mkdir()
    with running_stack(folder) as stack, running_control(folder / "control") as control:
        targets = {
            "reflex": stack.frontend_port,
            "triton": stack.triton_metrics_port,
            "reflex-control": control.port,
        }
        with running_prometheus(folder / "prometheus", targets) as prometheus:
            prometheus.wait_scraped()
            answers = loaded(stack, LOAD_S)
            yield Watched(prometheus, time.time(), Counter(answer.status for answer in answers))


def test_the_load_has_everything_that_the_dashboard_shows(watched: Watched) -> None:
    assert watched.statuses[200] > 100
    assert watched.statuses[400] > 10
    assert watched.statuses[500] > 0


def test_the_control_plane_is_scraped_too(watched: Watched) -> None:
    wait_until(
        lambda: watched.latest('sum(reflex_control_requests_total{route="/health"})'), "its requests are counted"
    )


@pytest.mark.parametrize("query", queries(), ids=str)
def test_a_panel_s_query_returns_data_under_load(watched: Watched, query: Query) -> None:
    assert watched.values_of(query), query.substituted


@pytest.mark.parametrize("query", annotation_queries(), ids=str)
def test_an_annotation_s_query_is_one(watched: Watched, query: Query) -> None:
    watched.values_of(query)


@pytest.mark.parametrize("name", ["instance"])
def test_a_variable_has_values_to_choose_from(watched: Watched, name: str) -> None:
    assert name in {variable["name"] for variable in variables()}
    assert len(watched.prometheus.get(f"label/{name}/values", **{"match[]": "reflex_robot_info"})) == 1


def test_prometheus_counts_every_answer_of_the_load(watched: Watched) -> None:
    def are_counted() -> bool:
        return sorted(watched.latest("sum by (status) (reflex_act_total)")) == sorted(watched.statuses.values())

    wait_until(are_counted, f"Prometheus counts {watched.statuses}")


def test_every_answer_of_these_policies_is_shown_as_changed_by_the_guard(watched: Watched) -> None:
    """A nonce is no joint position; so the share is known, and a wrong denominator is seen."""
    [query] = [each for each in queries() if each.expression.startswith("sum (rate(reflex_guard_clamped_total")]

    assert statistics.median(watched.values_of(query)) == pytest.approx(1.0, rel=0.1)


def test_prometheus_evaluates_every_alert_without_error(watched: Watched) -> None:
    [group] = watched.prometheus.get("rules")["groups"]
    health = {rule["name"]: (rule["health"], rule.get("lastError", "")) for rule in group["rules"]}

    assert set(health.values()) == {("ok", "")}, health


def test_what_is_wrong_in_the_load_is_on_its_way_to_an_alert(watched: Watched) -> None:
    [group] = watched.prometheus.get("rules")["groups"]
    states = {rule["name"]: rule["state"] for rule in group["rules"]}

    assert states["ReflexSloViolated"] != "inactive"
    assert states["ReflexGuardClamps"] != "inactive"
    assert states["ReflexRecordingStopped"] == "inactive"
    assert states["ReflexGone"] == "inactive"
