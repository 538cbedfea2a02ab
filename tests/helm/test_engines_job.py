"""The Job that builds engines, the storage that they lie in, and the pods that wait for them."""

from __future__ import annotations

from typing import Any

import pytest

from helm.chart import Manifest, containers_of, merged, of_kind, only, pod_specs, render
from helm.table import ENGINES, H100, L40S


def test_the_job_runs_before_the_pods_change_and_its_storage_before_the_job() -> None:
    release = render(ENGINES)
    objects = [only(release, "PersistentVolumeClaim"), only(release, "Job")]
    notes = [each["metadata"]["annotations"] for each in objects]

    assert {note["helm.sh/hook"] for note in notes} == {"pre-install,pre-upgrade,pre-rollback"}
    assert int(notes[0]["helm.sh/hook-weight"]) < int(notes[1]["helm.sh/hook-weight"])


def test_helm_never_deletes_the_engines() -> None:
    annotations = only(render(ENGINES), "PersistentVolumeClaim")["metadata"]["annotations"]

    assert annotations["helm.sh/hook-delete-policy"] == "never"
    assert annotations["helm.sh/resource-policy"] == "keep"


def test_an_existing_claim_is_used_and_none_is_made() -> None:
    release = render(merged(ENGINES, {"engines": {"storage": {"existingClaim": "shared"}}}))
    claims = [
        volume["persistentVolumeClaim"]["claimName"]
        for spec in pod_specs(release).values()
        for volume in spec["volumes"]
        if volume["name"] == "engines"
    ]

    assert of_kind(release, "PersistentVolumeClaim") == []
    assert claims == ["shared", "shared"]


def test_the_pod_waits_where_the_job_of_its_own_pool_builds() -> None:
    release = render(merged(ENGINES, {"pools": [L40S, H100]}))
    built = {job["metadata"]["name"]: argument(job, "--shared") for job in of_kind(release, "Job")}
    awaited = {}
    for deployment in of_kind(release, "Deployment"):
        folder, *options = containers_of(deployment["spec"]["template"]["spec"])["wait-for-engines"]["args"]
        given = dict(each.removeprefix("--").split("=", 1) for each in options)
        awaited[given["job"]] = folder

    assert built == awaited
    assert len(set(built.values())) == 2


def test_the_cache_is_kept_beside_the_engines_of_every_pool() -> None:
    release = render(merged(ENGINES, {"pools": [L40S, H100]}))

    assert [argument(job, "--cache") for job in of_kind(release, "Job")] == ["/engines/cache"] * 2
    assert all(argument(job, "--shared").startswith("/engines/") for job in of_kind(release, "Job"))


@pytest.mark.parametrize(
    "change",
    [
        {"policy": "cup"},
        {"triton": {"image": {"tag": "26.08-py3"}}},
        {"engines": {"image": {"tag": "other"}}},
        {"modelRepository": {"source": "claim", "claim": {"name": "policies"}}},
    ],
)
def test_what_changes_the_engines_changes_their_place(change: dict[str, Any]) -> None:
    before, after = render(ENGINES), render(merged(ENGINES, {"auth": {"insecure": True}}, change))

    assert argument(only(before, "Job"), "--shared") != argument(only(after, "Job"), "--shared")


def test_the_job_gets_the_gpu_of_its_pool() -> None:
    release = render(merged(ENGINES, {"pools": [L40S, H100], "pod": {"nodeSelector": {"zone": "a"}}}))
    specs = {job["metadata"]["name"]: job["spec"]["template"]["spec"] for job in of_kind(release, "Job")}

    assert specs["cell-reflex-l40s-engines"]["nodeSelector"] == {
        "kubernetes.io/arch": "amd64", "zone": "a", "gpu": "l40s",
    }  # fmt: skip
    assert specs["cell-reflex-h100-engines"]["tolerations"] == H100["tolerations"]
    for spec in specs.values():
        assert containers_of(spec)["engines"]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_a_hook_needs_nothing_that_is_made_after_it() -> None:
    release = render(ENGINES)
    hooks = {each["metadata"]["name"] for each in release if "helm.sh/hook" in each["metadata"].get("annotations", {})}
    spec = only(release, "Job")["spec"]["template"]["spec"]
    needed = {volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume}

    assert spec["serviceAccountName"] == "default"
    assert needed <= hooks


def argument(job: Manifest, name: str) -> str:
    [found] = [
        each for each in containers_of(job["spec"]["template"]["spec"])["engines"]["args"] if each.startswith(name)
    ]
    return str(found.partition("=")[2])
