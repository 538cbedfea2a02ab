"""values.yaml explains itself, its schema refuses what it does not know, and impossible combinations say why."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from helm.chart import CHART, merged, refusal, render
from helm.table import GPU

VALUES = CHART / "values.yaml"
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
KEDA = {"autoscaling": {"kind": "keda", "prometheusUrl": "http://prometheus:9090"}}
ENGINES = merged(GPU, {"engines": {"enabled": True}})
ONE_NODE = merged(ENGINES, {"engines": {"storage": {"accessMode": "ReadWriteOnce"}}})
STILL = {"strategy": {"maxSurge": 0, "maxUnavailable": 1}}
ROUTE = {"gateway": {"enabled": True, "parentRefs": [{"name": "public"}]}}

IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    (
        {"modelRepository": {"source": "claim", "claim": {"name": "policies"}}},
        (
            "auth.existingSecret is empty, so whoever reaches the service could drive the policy: name a secret "
            "with the file "
            "that `reflex keys new` makes, or set auth.insecure to true on a network where you trust everybody."
        ),
    ),
    (
        {"auth": {"existingSecret": "keys", "insecure": True}, "tests": {"enabled": False}},
        "auth.existingSecret and auth.insecure exclude each other: set auth.insecure to false.",
    ),
    (
        {"auth": {"insecure": True}, "modelRepository": {"source": "claim"}},
        (
            "modelRepository.source claim needs modelRepository.claim.name, the claim that holds what `reflex "
            "export` wrote."
        ),
    ),
    (
        {"auth": {"insecure": True}, "modelRepository": {"source": "image"}},
        "modelRepository.source image needs modelRepository.image.reference, an image with the policies in it.",
    ),
    (
        {
            "auth": {"insecure": True},
            "modelRepository": {"source": "fetch"},
            "networkPolicy": {"denyEgress": False},
        },
        (
            "modelRepository.source fetch needs modelRepository.fetch.image and modelRepository.fetch.command, "
            "which writes the policies into $(REFLEX_TARGET)."
        ),
    ),
    (
        {
            "auth": {"insecure": True},
            "modelRepository": {"source": "fetch", "fetch": {"image": "tool:1", "command": ["tool"]}},
        },
        (
            "modelRepository.source fetch opens connections, and networkPolicy.denyEgress forbids all of them: "
            "allow the "
            "store in networkPolicy.egress, or set networkPolicy.denyEgress to false."
        ),
    ),
    (
        merged(GPU, {"triton": {"image": {"tag": "latest"}}}),
        (
            'triton.image.tag "latest" names no release of NVIDIA\'s container: set it to one like 26.07-py3, or pin '
            "triton.image.digest."
        ),
    ),
    (
        merged(GPU, {"triton": {"image": {"tag": "26.01-py3"}}}),
        (
            'triton.image.tag "26.01-py3" is too old: before 26.02 a full queue inside an ensemble leaves '
            "requests without "
            "an answer; set 26.02 or newer."
        ),
    ),
    (
        {"engines": {"enabled": True}},
        (
            "engines.enabled builds TensorRT engines, which a CPU cannot run: set triton.accelerator to gpu, or "
            "engines.enabled to false."
        ),
    ),
    (
        merged(ONE_NODE, STILL, {"replicas": 2}),
        (
            "engines.storage.accessMode ReadWriteOnce lets one node mount the engines: use ReadWriteMany, or "
            "one pool with "
            "replicas 1 and no autoscaling."
        ),
    ),
    (
        ONE_NODE,
        (
            "engines.storage.accessMode ReadWriteOnce keeps a new pod from starting beside the old one: set "
            "strategy.maxSurge to 0 and strategy.maxUnavailable to 1, or use ReadWriteMany."
        ),
    ),
    ({"pools": [{"name": "a"}, {"name": "a"}]}, "pools need different names, and these are a, a."),
    (
        {"strategy": {"maxSurge": 0}},
        (
            "strategy.maxSurge and strategy.maxUnavailable are both 0, so no update could ever start: set one of "
            "them to 1."
        ),
    ),
    (
        {"disruption": {"minAvailable": 1}},
        "disruption.minAvailable and disruption.maxUnavailable exclude each other: set the other one to null.",
    ),
    (
        {"disruption": {"maxUnavailable": None}},
        "disruption.enabled needs disruption.minAvailable or disruption.maxUnavailable.",
    ),
    (
        {"autoscaling": {"kind": "hpa", "minReplicas": 5}},
        "autoscaling.minReplicas is greater than autoscaling.maxReplicas.",
    ),
    (
        {"autoscaling": {"kind": "keda", "query": "sum(up)"}},
        "autoscaling.kind keda needs autoscaling.prometheusUrl, where the query is asked.",
    ),
    (
        KEDA,
        (
            "autoscaling.kind keda asks for Triton's queue time: set monitoring.tritonMetrics and "
            "monitoring.serviceMonitor.enabled to true, or give your own autoscaling.query."
        ),
    ),
    (
        {"ingress": {"enabled": True, "episodeAffinity": True}},
        (
            "ingress.episodeAffinity has no form that every controller knows: set ingress.controller to nginx "
            "or traefik, "
            "or use ingress.annotations of your own."
        ),
    ),
    (
        {"ingress": {"enabled": True, "tlsSecret": "cert"}},
        "ingress.tlsSecret needs ingress.host, the name that its certificate is for.",
    ),
    (
        {"gateway": {"enabled": True}},
        "gateway.enabled needs gateway.parentRefs, the Gateways that the route belongs to.",
    ),
    (
        merged(ROUTE, {"gateway": {"episodeAffinity": True}}),
        "gateway.episodeAffinity is not part of the Gateway API: set gateway.implementation to envoy or istio.",
    ),
    (
        {"auth": {"existingSecret": "keys"}},
        (
            "auth.existingSecret makes the server ask for keys, and `helm test` has none: set tests.apiKeySecret, or "
            "tests.enabled to false."
        ),
    ),
    (
        {"service": {"nodePort": 30080}},
        (
            "service.nodePort and service.externalTrafficPolicy are of a Service that is reached from outside: set "
            "service.type to NodePort or LoadBalancer."
        ),
    ),
    (
        {"service": {"type": "NodePort", "loadBalancerClass": "internal"}},
        "service.loadBalancerClass and service.loadBalancerSourceRanges need service.type LoadBalancer.",
    ),
    (
        {"commonLabels": {"app.kubernetes.io/name": "arm"}},
        ("commonLabels and pod.labels cannot set app.kubernetes.io/name, by which the chart finds its objects."),
    ),
    (
        {"commonLabels": {"team": "a"}, "pod": {"labels": {"team": "b"}}},
        "commonLabels and pod.labels both set team: set it in one of them.",
    ),
    (
        {"enabled": False},
        (
            "enabled is for a chart that has this one as a dependency, with `condition: reflex.enabled`: without one "
            "it switches nothing off."
        ),
    ),
    (
        {"frontend": {"env": [{"name": "REFLEX_TRITON", "value": "grpc://elsewhere"}]}},
        "frontend.env sets REFLEX_TRITON, which the chart sets itself: use the value of the chart.",
    ),
]


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
