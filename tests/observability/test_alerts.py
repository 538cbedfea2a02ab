"""The alert rules: promtool accepts them and runs their unit tests; each has such tests, and a runbook."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from docs.documents import anchors_of
from observability.dashboard import metrics_in, panels
from observability.files import ALERTS, ALERTS_TEST, PROMETHEUS, REPOSITORY, series_names
from observability.prometheus import promtool

WANTED = {
    "ReflexBreakerOpen", "ReflexErrors", "ReflexGone", "ReflexGuardClamps", "ReflexHighLatency", "ReflexNoTraffic",
    "ReflexKeysStale", "ReflexRecordingStopped", "ReflexSessionsStale", "ReflexSloViolated", "ReflexTritonRestarts",
}  # fmt: skip
SHOWN_IN = {
    "ReflexErrors": "Failed in each slot",
    "ReflexGuardClamps": "Changed by the guard",
    "ReflexHighLatency": "Latency",
}


def rules() -> list[Mapping[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def unit_tests() -> list[Mapping[str, Any]]:
    cases = yaml.safe_load(ALERTS_TEST.read_text(encoding="utf-8"))["tests"]
    return [check for case in cases for check in case["alert_rule_test"]]


def test_there_is_an_alert_for_everything_that_is_promised() -> None:
    assert {rule["alert"] for rule in rules()} == WANTED


def test_promtool_accepts_the_rules() -> None:
    checked = promtool("check", "rules", ALERTS.name, folder=ALERTS.parent)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(WANTED)} rules found" in checked.stdout


def test_promtool_accepts_the_configuration_with_the_rules_beside_it() -> None:
    """As compose mounts them: one folder."""
    checked = promtool("check", "config", PROMETHEUS.name, folder=ALERTS.parent)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(WANTED)} rules found" in checked.stdout


@pytest.mark.slow
def test_promtool_finds_each_alert_firing_and_silent_when_it_should() -> None:
    tested = promtool("test", "rules", ALERTS_TEST.name, folder=ALERTS.parent)

    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("alert", sorted(WANTED))
def test_an_alert_has_a_case_that_fires_and_one_that_does_not(alert: str) -> None:
    expected = [bool(check["exp_alerts"]) for check in unit_tests() if check["alertname"] == alert]

    assert set(expected) == {True, False}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_where_to_read_on(rule: Mapping[str, Any]) -> None:
    document, _, anchor = rule["annotations"]["runbook_url"].partition("#")

    assert rule["labels"]["severity"] in ("critical", "warning")
    assert {"summary", "description"} < rule["annotations"].keys()
    assert anchor == f"alert-{rule['alert'].lower()}"
    assert anchor in anchors_of(REPOSITORY / document)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_asks_only_for_metrics_that_there_are(rule: Mapping[str, Any]) -> None:
    assert metrics_in(rule["expr"])
    assert metrics_in(rule["expr"]) - series_names() == set()


@pytest.mark.parametrize(("alert", "panel"), SHOWN_IN.items())
def test_the_dashed_line_of_a_panel_is_the_limit_of_its_alert(alert: str, panel: str) -> None:
    [rule] = [rule for rule in rules() if rule["alert"] == alert]
    [shown] = [each for each in panels() if each["title"] == panel and each["type"] == "timeseries"]

    [limit] = re.findall(r"> (0\.\d+)", rule["expr"])
    assert float(limit) == shown["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_the_guide_names_the_alert_with_its_time_and_severity(rule: Mapping[str, Any]) -> None:
    guide = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
    [row] = [line for line in guide.splitlines() if line.startswith(f"| [{rule['alert']}]")]
    waits, severity = (cell.strip() for cell in row.split("|")[3:5])

    assert severity == rule["labels"]["severity"]
    assert waits.replace(" min", "m").replace(" s", "s") == rule.get("for", "at once")
