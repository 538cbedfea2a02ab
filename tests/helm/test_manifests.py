"""Every object that the chart can make is one that Kubernetes takes and that the level "restricted" admits."""

from __future__ import annotations

import json

import pytest

from helm.chart import CHART, Manifest, pod_specs, render
from helm.custom_shapes import SHAPES
from helm.custom_shapes import problems as shape_problems
from helm.kubernetes_schemas import BUILT_IN, VERSIONS, problems
from helm.pairwise import pairs_of, pairwise
from helm.pod_security import violations
from helm.table import LEVELS, rows, values_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def releases() -> list[list[Manifest]]:
    """The default, then every row of the pairwise table."""
    return [render(), *(render(values_of(row)) for row in rows())]


@pytest.fixture(scope="module")
def distinct(releases: list[list[Manifest]]) -> list[Manifest]:
    """Each different object once, so that it is validated once."""
    texts = {json.dumps(manifest, sort_keys=True) for release in releases for manifest in release}
    return [json.loads(text) for text in sorted(texts)]


def test_the_table_holds_every_pair_of_levels() -> None:
    every = {name: list(levels) for name, levels in LEVELS.items()}
    covered = set().union(*(pairs_of(row) for row in pairwise(every)))

    wanted = {
        ((one, first), (other, second))
        for one, firsts in every.items()
        for other, seconds in every.items()
        if one < other
        for first in firsts
        for second in seconds
    }
    assert covered == wanted


def test_the_versions_are_those_of_the_promise() -> None:
    assert VERSIONS[0] == "1.28"
    assert VERSIONS[-1] >= "1.37"
    assert 'kubeVersion: ">=1.28.0-0"' in (CHART / "Chart.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid(distinct: list[Manifest], version: str) -> None:
    built_in = [manifest for manifest in distinct if BUILT_IN.match(manifest["apiVersion"])]

    assert len(built_in) > 100
    assert [problem for manifest in built_in for problem in problems(manifest, version)] == []


def test_an_unknown_field_and_a_wrong_type_are_seen(distinct: list[Manifest]) -> None:
    deployment = next(manifest for manifest in distinct if manifest["kind"] == "Deployment")
    spec = deployment["spec"]

    assert list(problems({**deployment, "spec": {**spec, "replica": 1}}, VERSIONS[0]))
    assert list(problems({**deployment, "spec": {**spec, "revisionHistoryLimit": "5"}}, VERSIONS[-1]))


def test_every_custom_resource_has_its_shape(distinct: list[Manifest]) -> None:
    custom = [manifest for manifest in distinct if not BUILT_IN.match(manifest["apiVersion"])]

    assert {(each["apiVersion"], each["kind"]) for each in custom} >= SHAPES.keys() - {
        ("monitoring.coreos.com/v1", "PrometheusRule")
    }
    assert [problem for manifest in custom for problem in shape_problems(manifest)] == []


def test_every_pod_is_restricted(releases: list[list[Manifest]]) -> None:
    found = {
        f"{where}: {problem}"
        for release in releases
        for where, spec in pod_specs(release).items()
        for problem in violations(spec)
    }

    assert found == set()


def test_no_pod_gets_a_token_of_the_cluster(releases: list[list[Manifest]]) -> None:
    specs = [spec for release in releases for spec in pod_specs(release).values()]

    assert [spec for spec in specs if spec["automountServiceAccountToken"] is not False] == []


def test_every_object_is_in_the_release_s_namespace_and_says_whose_it_is(distinct: list[Manifest]) -> None:
    for manifest in distinct:
        labels = manifest["metadata"]["labels"]
        assert manifest["metadata"]["namespace"] == "robots"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/instance"] == "cell"


def test_no_two_objects_of_a_release_bear_the_same_name(releases: list[list[Manifest]]) -> None:
    for release in releases:
        names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in release]
        assert len(names) == len(set(names))


def test_every_name_fits_into_a_label(distinct: list[Manifest]) -> None:
    assert [each["metadata"]["name"] for each in distinct if len(each["metadata"]["name"]) > 63] == []


def test_every_volume_that_is_mounted_is_there(releases: list[list[Manifest]]) -> None:
    for release in releases:
        for spec in pod_specs(release).values():
            volumes = {volume["name"] for volume in spec["volumes"]}
            for container in [*spec.get("initContainers", []), *spec["containers"]]:
                assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
