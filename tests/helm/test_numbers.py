"""A number of many digits is rendered as that number: Helm's are floats, which print as 1e+06 from a million on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from helm.chart import CHART, Chart, merged, pod_specs, render
from helm.table import CONTROL, ENGINES, POSTGRES

SCHEMA: Final = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
LARGE: Final = 1_000_680_000
"""A UID of the size that OpenShift gives a namespace."""
ALONGSIDE: Final = merged(ENGINES, POSTGRES, {"service": {"type": "NodePort"}, "strategy": {"maxUnavailable": 1}})


def integers(schema: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    """The path of every whole number that a user may set, and the largest value up to LARGE."""
    for name, value in schema.get("properties", {}).items():
        kinds = [value, *value.get("anyOf", [])]
        for kind in kinds:
            if kind.get("type") == "integer":
                yield (*path, name), min(kind.get("maximum", LARGE), LARGE)
        yield from integers(value, (*path, name))


NUMBERS: Final = dict(integers(SCHEMA))


@pytest.mark.parametrize("path", NUMBERS, ids=".".join)
def test_no_number_is_written_with_an_exponent(path: tuple[str, ...]) -> None:
    values: Any = float(NUMBERS[path])
    for part in reversed(path):
        values = {part: values}
    if path[0] == "autoscaling":
        values = merged({"autoscaling": {"kind": "hpa", "maxReplicas": 100_000}}, values)
    if path[:2] == ("control", "backup"):
        values = merged(CONTROL, {"control": {"database": {"existingSecret": ""}, "replicas": 1}}, values)
        values = merged(values, {"control": {"backup": {"enabled": True}}})
    with Chart.load(CHART) as chart:
        files = chart.render(merged(ALONGSIDE, values), name="cell", namespace="robots")

    assert [line for text in files.values() for line in text.splitlines() if re.search(r"\d[eE]\+\d", line)] == []


@pytest.mark.parametrize("uid", [1, 999_999, 1_000_000, LARGE, 2_147_483_647])
def test_every_pod_runs_as_the_user_that_was_given(uid: int) -> None:
    for spec in pod_specs(render(merged(ENGINES, {"pod": {"runAsUser": uid}}))).values():
        security = spec["securityContext"]
        assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (uid, uid, uid)


def test_without_a_user_the_cluster_chooses_user_and_groups() -> None:
    specs = pod_specs(render(merged(ENGINES, {"pod": {"runAsUser": None}})))

    assert len(specs) == 3
    for spec in specs.values():
        assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
