"""What the files of the images say, without an engine: one release of NVIDIA, every variable explained, all locked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from compose.engine import REPOSITORY

COMPOSE = (REPOSITORY / "compose.yaml").read_text(encoding="utf-8")
EXAMPLE = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
DOCKERFILES = [*sorted(REPOSITORY.glob("docker/*/Dockerfile")), REPOSITORY / "frontend" / "Dockerfile"]
LOCKS = sorted((REPOSITORY / "requirements").glob("*.txt"))
OLDEST_RELEASE = (26, 2)
"""Before it, a full queue inside an ensemble hangs the request."""
BUILD_ONLY = {"hatchling", "tomlkit", "trove-classifiers"}
"""Of an environment that pip makes by itself, which no constraints reach."""
SERVICES = yaml.safe_load(COMPOSE)["services"]


def variables_of_compose() -> dict[str, set[str]]:
    """Each variable with the defaults that it is given."""
    found: dict[str, set[str]] = {}
    for name, default in re.findall(r"(?<!\$)\$\{(\w+)(?::[-+]([^}]*))?\}", COMPOSE):
        found.setdefault(name, set()).add(default)
    return found


def variables_of_example() -> dict[str, str]:
    return dict(re.findall(r"^#(\w+)=(.*)$", EXAMPLE, re.MULTILINE))


def releases(path: str) -> set[str]:
    """Every release of NVIDIA's containers that a file names."""
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    return set(re.findall(r"(?:RELEASE(?::-|=)|tag: |tensorrt:|tritonserver:)(\d\d\.\d\d)\b", text))


def test_every_variable_is_explained_and_no_other() -> None:
    assert set(variables_of_example()) == set(variables_of_compose())


def test_the_documented_default_is_the_real_one() -> None:
    own = {
        "REFLEX_CORS_ORIGINS": "*", "REFLEX_GUARD": "true", "REFLEX_MAX_CLAMPED_SHARE": "50",
        "REFLEX_RECEIVE_TIMEOUT_S": "5.0",
    }  # fmt: skip
    real = {
        name: defaults - {"/run/secrets/reflex/api-keys", "/dev/null"}
        for name, defaults in variables_of_compose().items()
    }

    for name, documented in variables_of_example().items():
        if not name.startswith("PIP_"):
            assert real[name] <= {documented, ""}, name
            assert documented == "" or documented in real[name] or documented == own[name], name


def test_one_release_of_nvidia_is_named_everywhere() -> None:
    named = {
        path: releases(path)
        for path in ("compose.yaml", ".env.example", "docker/export/Dockerfile", "helm/reflex/values.yaml")
        if (REPOSITORY / path).exists()
    }
    [release] = named["compose.yaml"]

    assert all(found == {release} for found in named.values()), named
    assert tuple(map(int, release.split("."))) >= OLDEST_RELEASE


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_service_is_without_rights_and_its_root_read_only(service: str) -> None:
    definition = SERVICES[service]

    assert definition["read_only"] is True
    assert definition["cap_drop"] == ["ALL"]
    assert definition["security_opt"] == ["no-new-privileges:true"]
    assert not str(definition["user"]).startswith("0")
    assert "privileged" not in definition
    assert definition["restart"] in ("unless-stopped", "no")


def test_only_what_people_and_robots_call_is_published_and_on_loopback_unless_told() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published == {
        "frontend": ["${REFLEX_BIND:-127.0.0.1}:${REFLEX_PORT:-8000}:8000"],
        "frontend-gpu": ["${REFLEX_BIND:-127.0.0.1}:${REFLEX_PORT:-8000}:8000"],
        "control": ["${REFLEX_CONTROL_BIND:-127.0.0.1}:${REFLEX_CONTROL_PORT:-8100}:8100"],
        "grafana": ["127.0.0.1:${GRAFANA_PORT:-3000}:3000"],
    }


def test_both_tritons_get_the_same_flags() -> None:
    command = SERVICES["triton"]["command"]

    assert SERVICES["triton-gpu"]["command"] == command
    for flag in ("--model-control-mode=explicit", "--strict-readiness=true", "--http-address=127.0.0.1"):
        assert flag in command[-1]
    for restricted in ("--grpc-restricted-protocol", "--http-restricted-api"):
        assert f'{restricted}="$$admin"' in command[-1]


def test_the_gpu_triton_gets_the_gpu_pools_and_shared_memory() -> None:
    service = SERVICES["triton-gpu"]
    [device] = service["deploy"]["resources"]["reservations"]["devices"]

    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert (
        "--cuda-memory-pool-byte-size=0:${TRITON_CUDA_POOL_BYTES:-536870912}" in service["environment"]["MEMORY_POOLS"]
    )
    assert service["shm_size"] == "${TRITON_SHM_SIZE:-1g}"
    assert [mount["read_only"] for mount in service["volumes"]] == [True]
    assert service["networks"] == {"inference": {"aliases": ["triton"]}}


def test_the_server_on_a_gpu_is_the_frontend_with_a_card_in_place_of_a_triton_elsewhere() -> None:
    frontend, on_gpu = SERVICES["frontend"], SERVICES["frontend-gpu"]
    [device] = on_gpu["deploy"]["resources"]["reservations"]["devices"]
    elsewhere = {"REFLEX_TRITON", "REFLEX_TRITON_ADMIN_HEADER"}

    assert (device["driver"], device["capabilities"], on_gpu["profiles"]) == ("nvidia", ["gpu"], ["gpu-rtx"])
    assert (on_gpu["command"], on_gpu["entrypoint"]) == (frontend["command"], frontend["entrypoint"])
    assert on_gpu["environment"] == {
        **{name: value for name, value in frontend["environment"].items() if name not in elsewhere},
        "REFLEX_DEVICE": "${REFLEX_DEVICE:-auto}",
    }
    assert "engines:/cache" in on_gpu["volumes"]


def test_the_gpu_image_brings_cuda_and_every_way_of_running_and_wants_only_a_base() -> None:
    text = (REPOSITORY / "docker" / "gpu" / "Dockerfile").read_text(encoding="utf-8")
    pins = pins_of(REPOSITORY / "requirements" / "gpu.txt")

    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${CUDA_BASE}"}
    assert "nvcr.io" not in text
    assert {"onnxruntime-gpu", "onnxruntime-ep-nv-tensorrt-rtx-cu13", "nvidia-cudnn-cu13", "nvidia-pytriton"} <= set(
        pins
    )
    assert "onnxruntime" not in pins, "two packages of one import name overwrite each other"
    assert pins["onnxruntime-gpu"] == pins_of(REPOSITORY / "requirements" / "triton-cpu.txt")["onnxruntime"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_runs_as_a_number_and_installs_only_what_is_locked(dockerfile: Path) -> None:
    text = dockerfile.read_text(encoding="utf-8")

    assert re.findall(r"^USER (.*)$", text, re.MULTILINE)[-1] == "10001:10001"
    assert "apt-get" not in text
    for install in re.findall(r"pip(?: --python \S+)? install ((?:[^&]|\n)*)", text):
        assert "--require-hashes" in install or "--no-index" in install


def pins_of(path: Path) -> dict[str, str]:
    """Versions by name; a name as package indexes compare it."""
    pins = re.findall(r"^([\w.-]+)==([^\s;]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_pin_of_a_lock_is_that_of_the_constraints(lock: Path) -> None:
    constraints, pins = pins_of(REPOSITORY / "constraints.txt"), pins_of(lock)
    unknown_to_constraints = BUILD_ONLY if lock.stem == "build" else set()

    assert {name: version for name, version in pins.items() if constraints.get(name, version) != version} == {}
    assert set(pins) - set(constraints) == unknown_to_constraints


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_lock_has_a_hash_of_every_file_and_says_nothing_of_where_it_comes_from(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")

    assert len(re.findall(r"^\w[^\n]*\\\n    --hash=sha256:", text, re.MULTILINE)) == len(pins_of(lock))
    assert len(re.findall(r"^\w", text, re.MULTILINE)) == len(pins_of(lock))
    assert "://" not in text
    assert re.findall(r"^-.*", text, re.MULTILINE) == []


def test_the_frontends_image_has_what_every_option_of_the_server_needs() -> None:
    """Traces are an extra for whoever installs the package, and a setting for whoever runs the image."""
    assert {"opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"} <= set(
        pins_of(REPOSITORY / "requirements" / "frontend.txt")
    )


def test_the_dashboard_asks_the_datasource_that_is_provisioned() -> None:
    """It takes the default one of its kind."""
    dashboard = json.loads((REPOSITORY / "observability/grafana/reflex.json").read_text(encoding="utf-8"))
    [source] = yaml.safe_load(
        (REPOSITORY / "observability/grafana/provisioning/datasources/prometheus.yaml").read_text(encoding="utf-8")
    )["datasources"]

    [variable] = [each for each in dashboard["templating"]["list"] if each["type"] == "datasource"]
    assert (variable["query"], source["isDefault"]) == (source["type"], True)
