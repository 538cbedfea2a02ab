"""Every name and label is one that the API server takes, whatever the release and the overrides are called."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from helm_python import HelmError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helm.chart import CHART, Manifest, merged, of_kind, pod_specs, refusal, render
from helm.kubernetes_schemas import BUILT_IN, VERSIONS
from helm.kubernetes_schemas import problems as schema_problems
from helm.table import CONTROL, ENGINES, H100, KEDA

pytestmark = pytest.mark.slow

LABEL: Final = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
DNS_1035: Final = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
"""What a Service is called: ValidateServiceName of the API server."""
DNS_1123: Final = re.compile(rf"{LABEL}(?:\.{LABEL})*")
LABEL_VALUE: Final = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
RELEASE: Final = rf"{LABEL}(?:\.{LABEL})?"
"""What Helm takes, up to 53 characters."""

OVERRIDE: Final = st.from_regex(r"\A[a-z]([-a-z0-9]{0,61}[a-z0-9])?\Z")
EVERYTHING: Final = merged(ENGINES, KEDA, CONTROL, {"pools": [{"name": "0-long-name0"}, H100]}, {
    "ingress": {"enabled": True, "controller": "nginx"}, "gateway": {"enabled": True, "parentRefs": [{"name": "g"}]},
    "monitoring": {"prometheusRule": {"enabled": True}}, "control": {"backup": {"enabled": True}},
})  # fmt: skip
QUICK: Final = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def problems(manifests: list[Manifest]) -> Iterator[str]:
    """What the API server refuses in metadata and in the labels of pods."""
    for manifest in manifests:
        name = manifest["metadata"]["name"]
        rule = DNS_1035 if manifest["kind"] == "Service" else DNS_1123
        if not rule.fullmatch(name) or len(name) > (52 if manifest["kind"] == "CronJob" else 63):
            yield f"{manifest['kind']} {name}"
        yield from (f"label {value!r} of {name}" for value in _labels(manifest) if not LABEL_VALUE.fullmatch(value))


def _labels(manifest: Manifest) -> Iterator[str]:
    for key, value in manifest.items():
        if key in ("labels", "matchLabels"):
            yield from value.values()
        elif isinstance(value, dict):
            yield from _labels(value)


@QUICK
@given(st.from_regex(rf"\A{RELEASE}\Z").filter(lambda name: len(name) <= 53))
def test_of_every_release(name: str) -> None:
    assert list(problems(render(EVERYTHING, name=name))) == []


@QUICK
@given(OVERRIDE, OVERRIDE)
def test_of_every_override(full: str, short: str) -> None:
    assert list(problems(render(merged(EVERYTHING, {"fullnameOverride": full, "nameOverride": short})))) == []
    assert list(problems(render(merged(EVERYTHING, {"nameOverride": short})))) == []


@pytest.mark.parametrize("name", ["7-cell", "robot.cell", "a" + "-" * 45 + "b", "1.2.3", "r" * 53, "0" * 53])
def test_of_releases_that_are_no_label(name: str) -> None:
    assert list(problems(render(EVERYTHING, name=name))) == []


@pytest.mark.parametrize("name", ["robot.policy", "7-cell", "Cell", "cell-", "-cell", "a_b", "é", "a" * 64, "a\nb"])
@pytest.mark.parametrize("value", ["fullnameOverride", "nameOverride"])
def test_an_override_that_is_no_label_is_refused_by_its_name(value: str, name: str) -> None:
    assert f"/{value}" in refusal({value: name})


@pytest.mark.parametrize("labels", [{"a b": "c"}, {"a": "b c"}, {"a": "-"}, {"Example.com/a": "b"}, {"a": "b" * 64}])
@pytest.mark.parametrize("where", ["commonLabels", "pod.labels", "pod.nodeSelector", "monitoring.dashboard.labels"])
def test_a_label_that_is_none_is_refused(where: str, labels: dict[str, str]) -> None:
    values: dict[str, Any] = labels
    for part in reversed(where.split(".")):
        values = {part: values}

    words = refusal(values)
    assert f"/{where.replace('.', '/')}/" in words or "invalid propertyName" in words


NUMBERS_AND_WORDS: Final = {
    "fullnameOverride": "on", "nameOverride": "null", "pools": [{"name": "123"}, {"name": "true"}],
    "image": {"pullSecrets": ["123"]}, "auth": {"existingSecret": "1e3"}, "tests": {"apiKeySecret": "123"},
    "modelRepository": {"source": "claim", "claim": {"name": "123", "subPath": "123"}},
    "engines": {"storage": {"existingClaim": "0x1"}}, "serviceAccount": {"name": "no"},
    "triton": {"runtimeClassName": "123"}, "pod": {"priorityClassName": "true", "labels": {"a": "1"}},
    "ingress": {"className": "123", "host": "123", "tlsSecret": "null"}, "commonLabels": {"b": "true"},
}  # fmt: skip


def test_a_name_that_looks_like_a_number_or_a_word_of_yaml_stays_a_name() -> None:
    release = render(merged(EVERYTHING, NUMBERS_AND_WORDS), name="123")
    built_in = [manifest for manifest in release if BUILT_IN.match(manifest["apiVersion"])]

    assert [problem for manifest in built_in for problem in schema_problems(manifest, VERSIONS[-1])] == []
    assert list(problems(release)) == []


@pytest.mark.parametrize("alias", ["reflex", "robotPolicy", "pick_cup", "7", "_"])
def test_of_a_dependency_under_every_alias_with_global_values(tmp_path: Path, alias: str) -> None:
    parent = umbrella(tmp_path, alias, {alias: {"replicas": 2, "enabled": True}, "global": {"site": "hall-3"}})

    release = render(path=parent)

    assert list(problems(release)) == []
    assert [each["spec"]["replicas"] for each in of_kind(release, "Deployment")] == [2]


def test_a_dependency_that_is_switched_off_makes_nothing(tmp_path: Path) -> None:
    assert render(path=umbrella(tmp_path, "reflex", {"reflex": {"enabled": False}})) == []


def test_a_mistake_in_a_dependency_s_values_is_refused_as_ever(tmp_path: Path) -> None:
    with pytest.raises(HelmError, match="replica"):
        render(path=umbrella(tmp_path, "reflex", {"reflex": {"replica": 2}}))


def umbrella(folder: Path, alias: str, values: dict[str, Any]) -> Path:
    """A chart that has this one as a dependency, as GitOps repositories do."""
    parent = folder / "cell"
    shutil.copytree(CHART, parent / "charts" / "reflex")
    version = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["version"]
    dependency = {"name": "reflex", "version": version, "repository": "", "alias": alias}
    dependency["condition"] = f"{alias}.enabled"
    chart = {"apiVersion": "v2", "name": "cell", "version": "0.1.0", "dependencies": [dependency]}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(chart), encoding="utf-8")
    (parent / "values.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return parent


@pytest.mark.parametrize(
    ("changes", "selector"),
    [({}, {"kubernetes.io/arch": "amd64"}), ({"kubernetes.io/arch": "arm64"}, {"kubernetes.io/arch": "arm64"}),
     ({"kubernetes.io/arch": None}, None), ({"a": "b"}, {"kubernetes.io/arch": "amd64", "a": "b"})],
)  # fmt: skip
def test_every_pod_asks_for_the_architecture_of_the_images_unless_told_otherwise(
    changes: dict[str, str | None], selector: dict[str, str] | None
) -> None:
    specs = pod_specs(render(merged(ENGINES, {"pod": {"nodeSelector": changes}})))

    assert len(specs) == 3
    assert [spec.get("nodeSelector") for spec in specs.values()] == [selector] * 3
