"""The dashboard's file: it can be imported by hand, is provisioned by compose, and is the one of the chart."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from observability.dashboard import Query, annotation_queries, load, metrics_in, panels, queries, variables
from observability.files import CHART_COPIES, REPOSITORY, family_names, series_names

COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
SHORTEST_DESCRIPTION = 40
ASKED_BY_NO_PANEL = {"reflex_slo_violations"}
"""That the objective is missed, and when, says more than how often."""


def test_every_panel_has_an_id_of_its_own() -> None:
    ids = [panel["id"] for panel in load()["panels"]]

    assert len(ids) == len(set(ids))


def test_every_panel_says_what_it_shows_and_what_to_do() -> None:
    assert [panel["title"] for panel in panels() if len(panel["description"]) < SHORTEST_DESCRIPTION] == []


def test_every_number_has_a_unit() -> None:
    numbers = [panel for panel in panels() if panel["type"] in ("stat", "timeseries")]

    assert numbers
    assert [panel["title"] for panel in numbers if not panel["fieldConfig"]["defaults"].get("unit")] == []


def test_no_panel_covers_another_or_leaves_the_grid() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in load()["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= COLUMNS, panel["title"]
        rows, columns = range(grid["y"], grid["y"] + grid["h"]), range(grid["x"], grid["x"] + grid["w"])
        for cell in itertools.product(columns, rows):
            assert cell not in taken, f"{panel['title']} lies on {taken[cell]}"
            taken[cell] = panel["title"]


def test_every_datasource_is_the_variable() -> None:
    """So that the file works wherever it is imported, whatever the data source is called there."""
    asking = [*panels(), *(target for panel in panels() for target in panel["targets"])]
    asking += [*load()["annotations"]["list"], *(variable for variable in variables() if variable["type"] == "query")]

    assert all(each["datasource"] == DATASOURCE for each in asking)
    assert [variable["query"] for variable in variables() if variable["name"] == "datasource"] == ["prometheus"]


def test_the_file_needs_nothing_of_the_grafana_that_it_was_made_in() -> None:
    assert load().get("id") is None
    assert load()["uid"] == "reflex"
    assert "__inputs" not in load(), "provisioning would leave them open"


@pytest.mark.parametrize("query", [*queries(), *annotation_queries()], ids=str)
def test_a_query_asks_only_for_metrics_that_there_are(query: Query) -> None:
    asked = metrics_in(query.substituted)

    assert asked - series_names() == set()
    assert asked or query.expression.startswith("ALERTS{")


def test_every_metric_of_the_frontend_is_on_the_dashboard() -> None:
    asked = {name for query in queries() for name in metrics_in(query.expression)}
    missing = {name for name in family_names() if not any(each.startswith(name) for each in asked)}

    assert missing == ASKED_BY_NO_PANEL


@pytest.mark.parametrize("query", queries(), ids=str)
def test_a_quantile_is_of_all_instances_together(query: Query) -> None:
    """A quantile of each, averaged, is a quantile of nothing."""
    quantiles = re.findall(r"histogram_quantile\([\d.]+, (\w+) by \((\w+)", query.expression)

    assert quantiles == [("sum", "le")] * query.expression.count("histogram_quantile")


@pytest.mark.parametrize(("original", "copy"), CHART_COPIES.items(), ids=lambda path: path.name)
def test_the_chart_has_the_same_file(original: Path, copy: Path) -> None:
    names = [path.relative_to(REPOSITORY) for path in (original, copy)]

    assert copy.read_bytes() == original.read_bytes(), f"they differ: cp {names[0]} {names[1]}"
