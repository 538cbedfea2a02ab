"""values.yaml explains itself, its schema refuses what it does not know, and impossible combinations say why."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from helm.chart import CHART, refusal, render
from helm.impossible import IMPOSSIBLE

VALUES = CHART / "values.yaml"
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize(("values", "sentence"), IMPOSSIBLE, ids=[sentence[:40] for _, sentence in IMPOSSIBLE])
def test_an_impossible_combination_is_refused_with_its_sentence(values: dict[str, Any], sentence: str) -> None:
    lines = [line.removeprefix("- ") for line in refusal(values).splitlines() if line.startswith("- ")]

    assert lines == [sentence]


def test_every_sentence_of_the_chart_is_tested() -> None:
    source = (CHART / "templates" / "_checks.tpl").read_text(encoding="utf-8")

    assert source.count("$problems = append") == len({sentence for _, sentence in IMPOSSIBLE})


def test_all_problems_are_told_at_once() -> None:
    message = refusal({"engines": {"enabled": True}, "gateway": {"enabled": True}})

    assert "engines.enabled" in message
    assert "gateway.parentRefs" in message


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"replica": 2}, "'replica' not allowed"),
        ({"triton": {"accelarator": "gpu"}}, "'accelarator' not allowed"),
        ({"frontend": {"image": {"tags": "1"}}}, "'tags' not allowed"),
        ({"pools": [{"name": "a", "node": {}}]}, "'node' not allowed"),
        ({"triton": {"accelerator": "tpu"}}, "/triton/accelerator"),
        ({"pod": {"runAsUser": 0}}, "/pod/runAsUser"),
        ({"frontend": {"maxQueue": -1}}, "/frontend/maxQueue"),
        ({"frontend": {"image": {"digest": "sha256:short"}}}, "/frontend/image/digest"),
        ({"triton": {"sharedMemory": "much"}}, "/triton/sharedMemory"),
        ({"service": {"port": 70000}}, "/service/port"),
        ({"ingress": {"path": "reflex"}}, "/ingress/path"),
        ({"modelRepository": {"source": "s3"}}, "/modelRepository/source"),
        ({"pools": [{"name": "a-name-too-long"}]}, "/pools/0/name"),
        ({"triton": {"extraArgs": ["; reboot"]}}, "/triton/extraArgs/0"),
        ({"policy": "a b"}, "/policy"),
        ({"service": {"nodePort": 70000}}, "/service/nodePort"),
        (
            {"service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.1"]}},
            "/loadBalancerSourceRanges/0",
        ),
        ({"service": {"ipFamilies": ["ipv4"]}}, "/service/ipFamilies/0"),
        ({"pod": {"runAsUser": "1000"}}, "/pod/runAsUser"),
        ({"control": {"replica": 1}}, "'replica' not allowed"),
        ({"control": {"backup": {"schedule": "daily"}}}, "/control/backup/schedule"),
        ({"control": {"database": {"url": "postgresql://"}}}, "'url' not allowed"),
        ({"control": {"rateLimit": 0}}, "/control/rateLimit"),
    ],
)
def test_an_unknown_or_wrong_value_is_refused_by_name(values: dict[str, Any], words: str) -> None:
    assert words in refusal(values)


def test_every_object_of_the_schema_is_closed() -> None:
    assert [path for path, each in objects_of(SCHEMA, "") if "additionalProperties" not in each] == [
        "/$defs/kubernetes"
    ]
    assert [path for path, each in objects_of(SCHEMA, "") if each.get("additionalProperties") is True] == []


def test_the_schema_knows_every_value_and_no_other() -> None:
    default = render_defaults()

    assert leaves_of_schema(SCHEMA) - OF_A_DEPENDENCY == leaves_of(default)


def test_the_values_are_short_and_every_line_says_what_it_is() -> None:
    lines = VALUES.read_text(encoding="utf-8").splitlines()

    assert len(lines) < 250
    assert [line for line in lines if line.strip() and not re.search(r"(^|\s)# \S", line)] == []
    assert [line for line in lines if len(line) > 130] == []


def test_every_value_is_used_by_a_template() -> None:
    templates = "\n".join(path.read_text(encoding="utf-8") for path in (CHART / "templates").rglob("*.*"))
    named = [leaf for leaf in leaves_of(render_defaults()) if leaf[-1] not in ("requests", "limits")]
    unused = [leaf for leaf in named if not re.search(rf"\.{leaf[-1]}\b", templates)]

    assert unused == []


def test_the_chart_renders_with_nothing_but_its_defaults() -> None:
    assert {manifest["kind"] for manifest in render()} >= {"Deployment", "Service", "NetworkPolicy"}


def render_defaults() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(VALUES.read_text(encoding="utf-8"))
    return values


def objects_of(schema: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of a mapping."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield path, schema
        for key, value in schema.items():
            yield from objects_of(value, f"{path}/{key}")
    elif isinstance(schema, list):
        for number, value in enumerate(schema):
            yield from objects_of(value, f"{path}/{number}")


OF_A_DEPENDENCY = {("global",), ("enabled",)}
"""What Helm, and a parent chart, put into the values of a dependency: nothing that the chart itself reads."""

FREE_FORM = {"nodeSelector", "annotations", "labels", "commonLabels", "requests", "limits", "affinity"}


def leaves_of(values: dict[str, Any], above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The path of every value that is no group of others."""
    found: set[tuple[str, ...]] = set()
    for key, value in values.items():
        path = (*above, key)
        if isinstance(value, dict) and key not in FREE_FORM:
            found |= leaves_of(value, path)
        else:
            found.add(path)
    return found


def leaves_of_schema(schema: dict[str, Any], above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for key, value in schema["properties"].items():
        target = SCHEMA["$defs"][value["$ref"].rpartition("/")[2]] if "$ref" in value else value
        path = (*above, key)
        if "properties" in target and key not in FREE_FORM:
            found |= leaves_of_schema(target, path)
        else:
            found.add(path)
    return found
