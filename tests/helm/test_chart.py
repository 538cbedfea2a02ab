"""What the objects of a release promise to those who run it."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

from docs.documents import Block, blocks_of
from helm.chart import CHART, REPOSITORY, Chart, Manifest, containers_of, lint, merged, only, render
from helm.table import ENGINES, GPU, MONITORED
from reflex_frontend.serve import DRAIN_S
from reflex_frontend.settings import Settings

CLOSING_S = 4.0
"""After the drain: connections 1 s, Triton's part 2 s, and a second for the machine."""


def serving_pod(values: dict[str, Any] | None = None) -> Manifest:
    spec: Manifest = only(render(values), "Deployment")["spec"]["template"]["spec"]
    return spec


def container(name: str, values: dict[str, Any] | None = None) -> Manifest:
    found: Manifest = containers_of(serving_pod(values))[name]
    return found


def environment(values: dict[str, Any] | None = None) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container("frontend", values)["env"] if "value" in each}


def test_the_chart_lints() -> None:
    messages = lint(CHART, strict=True)["messages"]

    assert [message for message in messages if message["severity"] > 1] == []


def test_chart_and_software_bear_the_same_version() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    with Chart.load(CHART) as chart:
        assert chart.metadata["appVersion"] == version
        assert chart.version == re.sub(r"\.dev(\d+)$", r"-dev\1", version)


VALUES_OF_THE_GUIDE = [
    block
    for block in blocks_of(REPOSITORY / "docs" / "kubernetes.md")
    if block.language == "yaml" and not block.code.startswith("rules:")
]


@pytest.mark.parametrize("block", VALUES_OF_THE_GUIDE, ids=lambda block: f"line{block.line}")
def test_the_values_of_the_guide_are_taken(block: Block) -> None:
    assert render(yaml.safe_load(block.code))


def test_every_value_that_the_guide_names_is_there() -> None:
    with Chart.load(CHART) as chart:
        values = chart.values
    guide = (REPOSITORY / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:{})\.[A-Za-z.]+)".format("|".join(values)), guide)

    assert len(named) > 20
    assert [name for name in named if not is_value(values, name.split("."))] == []


def is_value(values: dict[str, Any], path: list[str]) -> bool:
    return not path or (path[0] in values and is_value(values[path[0]] if path[1:] else {}, path[1:]))


def test_every_variable_of_the_frontend_is_one_of_its_settings() -> None:
    values = {
        "policy": "demo",
        "frontend": {"maxQueue": 4},
        "auth": {"existingSecret": "k"},
        "tests": {"enabled": False},
    }
    known = {"HOME", *(f"REFLEX_{name.upper()}" for name in Settings.model_fields)}

    assert environment().keys() | environment(values).keys() <= known


def test_the_settings_that_the_chart_renders_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/tmp")  # is set by the loop, and put back after the test
    values = {"policy": "demo", "frontend": {"maxQueue": 0, "receiveTimeoutSeconds": 2.5, "guard": False}}
    for name, value in environment(values).items():
        monkeypatch.setenv(name, value)

    settings = Settings.load({})

    assert (settings.host, settings.port, settings.triton) == ("0.0.0.0", 8000, "127.0.0.1:8001")
    assert (settings.max_queue, settings.receive_timeout_s, settings.guard) == (0, 2.5, False)
    assert settings.json_logs


@pytest.mark.parametrize("share", [0, 12.5, 100])
def test_the_share_that_may_be_clamped_is_told_to_a_server_with_a_guard(share: float) -> None:
    frontend = {"maxClampedShare": share}

    assert float(environment({"frontend": frontend})["REFLEX_MAX_CLAMPED_SHARE"]) == share
    assert "REFLEX_MAX_CLAMPED_SHARE" not in environment({"frontend": {**frontend, "guard": False}})


def test_a_warming_pod_is_not_restarted() -> None:
    for name in ("frontend", "triton"):
        startup = container(name)["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 1800
    frontend = container("frontend")
    assert frontend["startupProbe"]["httpGet"]["path"] == "/health"
    assert frontend["readinessProbe"]["httpGet"]["path"] == "/health"
    assert frontend["livenessProbe"]["httpGet"]["path"] == "/health/live"


@pytest.mark.parametrize("delay_s", [0, 5, 120])
def test_the_pod_lives_long_enough_to_drain(delay_s: int) -> None:
    values = {"drain": {"delaySeconds": delay_s}}
    pod = serving_pod(values)
    exit_timeout = next(arg for arg in container("triton")["args"] if arg.startswith("--exit-timeout-secs="))
    frontend_s = delay_s + DRAIN_S + CLOSING_S

    assert container("frontend", values)["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", str(delay_s)]
    assert pod["terminationGracePeriodSeconds"] > frontend_s + int(exit_timeout.partition("=")[2])


@pytest.mark.parametrize("delay_s", [0, 5, 120])
def test_triton_outlives_the_frontend_but_not_the_grace_period(delay_s: int) -> None:
    values = {"drain": {"delaySeconds": delay_s}}
    script = container("triton", values)["lifecycle"]["preStop"]["exec"]["command"][-1]
    waited_s = int(re.findall(r"seq (\d+)", script)[0]) * 0.5

    assert waited_s >= delay_s + DRAIN_S + CLOSING_S
    assert waited_s < serving_pod(values)["terminationGracePeriodSeconds"]


def test_nobody_outside_the_pod_reaches_triton() -> None:
    triton = container("triton", GPU)

    assert "ports" not in triton
    assert {"--grpc-address=127.0.0.1", "--http-address=127.0.0.1", "--allow-metrics=false"} <= set(triton["args"])


def test_open_metrics_open_metrics_only() -> None:
    triton = container("triton", MONITORED)

    assert triton["ports"] == [{"name": "triton-metrics", "containerPort": 8002}]
    assert {"--metrics-address=0.0.0.0", "--grpc-address=127.0.0.1", "--http-address=127.0.0.1"} <= set(triton["args"])


def test_triton_is_started_as_its_secure_deployment_asks() -> None:
    arguments = container("triton", GPU)["args"]
    restricted = "model-repository,shared-memory,trace,logging:reflex=$(POD_UID)"

    assert arguments[0] == "tritonserver"
    assert {
        "--model-control-mode=explicit",
        "--load-model=*",
        "--strict-readiness=true",
        "--disable-auto-complete-config",
        f"--grpc-restricted-protocol={restricted}",
        f"--http-restricted-api={restricted}",
        "--cuda-memory-pool-byte-size=0:1073741824",
    } <= set(arguments)


def test_a_named_policy_is_all_that_triton_loads() -> None:
    arguments = container("triton", {"policy": "cup"})["args"]

    assert [each for each in arguments if each.startswith("--load-model=")] == ["--load-model=cup"]


def test_each_gpu_gets_a_memory_pool() -> None:
    triton = container("triton", merged(GPU, {"triton": {"gpuCount": 2}}))

    assert [arg for arg in triton["args"] if "cuda-memory-pool" in arg] == [
        "--cuda-memory-pool-byte-size=0:1073741824",
        "--cuda-memory-pool-byte-size=1:1073741824",
    ]
    assert triton["resources"]["limits"]["nvidia.com/gpu"] == "2"


def test_the_accelerator_chooses_the_image_and_the_gpu() -> None:
    cpu, gpu = container("triton"), container("triton", GPU)

    assert cpu["image"].startswith("reflex-triton-cpu:")
    assert "nvidia.com/gpu" not in cpu["resources"]["limits"]
    assert re.fullmatch(r"nvcr\.io/nvidia/tritonserver:\d\d\.\d\d-py3", gpu["image"])
    assert gpu["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_the_release_of_nvidia_s_container_is_the_one_of_compose() -> None:
    example = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    [release] = re.findall(r"^#? ?NVIDIA_TRITON_RELEASE=(\S+)", example, re.MULTILINE)
    compose = (REPOSITORY / "compose.yaml").read_text(encoding="utf-8")

    assert container("triton", GPU)["image"].endswith(f":{release}-py3")
    assert set(re.findall(r"NVIDIA_TRITON_RELEASE:-([\d.]+)", compose)) == {release}


def test_the_registry_is_put_before_our_own_images_only() -> None:
    values = merged(GPU, {"image": {"registry": "registry.example.com/robots/", "pullSecrets": ["login"]}})

    assert container("frontend", values)["image"].startswith("registry.example.com/robots/reflex-frontend:")
    assert container("triton", values)["image"].startswith("nvcr.io/")
    assert serving_pod(values)["imagePullSecrets"] == [{"name": "login"}]


def test_a_digest_wins_over_the_tag() -> None:
    digest = "sha256:" + "a" * 64

    assert container("frontend", {"frontend": {"image": {"tag": "1", "digest": digest}}})["image"] == (
        f"reflex-frontend@{digest}"
    )


def test_the_policies_are_read_only_where_they_are_served() -> None:
    claim = {
        "auth": {"insecure": True},
        "modelRepository": {"source": "claim", "claim": {"name": "policies", "subPath": "cup"}},
    }
    for values in ({}, claim, ENGINES):
        for name in ("frontend", "triton"):
            mounts = [
                each for each in container(name, values)["volumeMounts"] if each["mountPath"].startswith("/models")
            ]
            assert [mount["readOnly"] for mount in mounts] == [True]
    [mount] = [each for each in container("triton", claim)["volumeMounts"] if each["name"] == "models"]
    assert mount["subPath"] == "cup"


def test_the_fetching_container_is_told_where_to_write_and_gets_the_secret() -> None:
    fetch = {"image": "tool:1", "command": ["tool", "$(REFLEX_TARGET)"], "existingSecret": "store"}
    values = {
        "auth": {"insecure": True},
        "modelRepository": {"source": "fetch", "fetch": fetch},
        "networkPolicy": {"denyEgress": False},
    }
    found = container("model-repository", values)
    target = next(each["value"] for each in found["env"] if each["name"] == "REFLEX_TARGET")

    assert found["envFrom"] == [{"secretRef": {"name": "store"}}]
    assert [mount["mountPath"] for mount in found["volumeMounts"] if mount["name"] == "models"] == [target]


def test_without_keys_the_server_is_told_that_this_is_meant() -> None:
    keys = {"auth": {"existingSecret": "keys"}, "tests": {"apiKeySecret": "one"}}

    assert environment()["REFLEX_INSECURE"] == "true"
    assert "REFLEX_INSECURE" not in environment(keys)


def test_api_keys_are_a_file_that_only_the_frontend_gets() -> None:
    values = {"auth": {"existingSecret": "keys", "key": "robots.txt"}, "tests": {"apiKeySecret": "one"}}
    with_keys = [
        name
        for name, each in containers_of(serving_pod(values)).items()
        if any(mount["name"] == "api-keys" for mount in each["volumeMounts"])
    ]

    assert with_keys == ["frontend"]
    assert environment(values)["REFLEX_API_KEYS"] == "/etc/reflex/auth/robots.txt"


def test_somebody_else_s_container_may_say_otherwise() -> None:
    mine = {"name": "own", "image": "own:1", "securityContext": {"readOnlyRootFilesystem": False}}
    found = container("own", {"pod": {"extraContainers": [mine]}})

    assert found["securityContext"]["readOnlyRootFilesystem"] is False
    assert found["securityContext"]["capabilities"] == {"drop": ["ALL"]}
