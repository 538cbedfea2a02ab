"""The dashboard as the tests read it: its panels, and their queries as Grafana would send them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from observability.files import DASHBOARD

__all__ = ["Query", "annotation_queries", "load", "metrics_in", "panels", "queries", "variables"]

RATE_INTERVAL: Final = "10s"
"""Grafana's is four times the scrape interval at least; the tests scrape each second."""
BUILT_IN: Final = {"__rate_interval": RATE_INTERVAL, "__interval": "1s", "__range": "60s"}
VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))")


@dataclass(frozen=True)
class Query:
    """One target of a panel; `is_instant` asks for one moment, not for a range."""

    panel: str
    ref: str
    expression: str
    is_instant: bool

    def __str__(self) -> str:
        return f"{self.panel} / {self.ref}"

    @property
    def substituted(self) -> str:
        """With every variable at "All"; raises `KeyError` for one that the dashboard does not define."""
        values = BUILT_IN | {variable["name"]: variable.get("allValue", "") for variable in variables()}
        return VARIABLE.sub(lambda found: str(values[found[1] or found[2]]), self.expression)


def load() -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return loaded


def panels() -> list[Mapping[str, Any]]:
    """All that draw something; rows do not."""
    return [panel for panel in load()["panels"] if panel["type"] != "row"]


def variables() -> list[Mapping[str, Any]]:
    return list(load()["templating"]["list"])


def queries() -> list[Query]:
    return list(_of_panels())


def annotation_queries() -> list[Query]:
    return [Query("annotation", each["name"], each["expr"], is_instant=False) for each in load()["annotations"]["list"]]


def metrics_in(expression: str) -> set[str]:
    """The series that a query asks for: names of labels and label values are none."""
    without_braces = re.sub(r"\{[^}]*\}", "", expression)
    without_grouping = re.sub(r"\b(by|on|group_left|without|ignoring)\s*\([^)]*\)", "", without_braces)
    return set(re.findall(r"\b(?:reflex|nv)_\w+", without_grouping))


def _of_panels() -> Iterator[Query]:
    for panel in panels():
        for target in panel["targets"]:
            yield Query(panel["title"], target["refId"], target["expr"], is_instant=target["instant"])
