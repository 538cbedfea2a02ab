"""Deployments: which model may drive robots of which schema."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from reflex.control import asks
from reflex.control.objects import Deployment, Deployments, DoctorReport, Mode
from reflex.sdk.asking import answer
from reflex.sdk.files import read_deployment_spec

__all__ = [
    "create_deployment",
    "create_deployment_from_spec",
    "get_deployment",
    "list_deployments",
    "run_deployment_doctor",
]


def create_deployment(
    *,
    name: str,
    model_id: str,
    robot_schema_id: str | None = None,
    runtime: asks.Runtime | None = None,
    mode: Mode = "dry_run",
    spec: Mapping[str, Any] | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Deployment:
    """Deploy a model; `mode` is the highest that its sessions may reach, `runtime` is where its frontends answer."""
    return answer(
        asks.create_deployment(
            name=name, model_id=model_id, robot_schema_id=robot_schema_id, runtime=runtime, mode=mode, spec=spec
        ),
        api_key,
        convex_url,
        backend_url,
    )


def create_deployment_from_spec(
    path: str | PathLike[str],
    *,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Deployment:
    """Create what a file of JSON or YAML describes: the arguments of `create_deployment` as its keys."""
    return answer(
        asks.create_deployment(**read_deployment_spec(Path(path))),
        api_key,
        convex_url,
        backend_url,
    )


def list_deployments(
    *,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Deployments:
    """Every deployment, as `{"deployments": [...]}`."""
    return answer(
        asks.list_deployments(),
        api_key,
        convex_url,
        backend_url,
    )


def get_deployment(
    deployment_id: str,
    *,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Deployment:
    """One deployment, with what its doctor found last."""
    return answer(
        asks.get_deployment(deployment_id),
        api_key,
        convex_url,
        backend_url,
    )


def run_deployment_doctor(
    deployment_id: str,
    *,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> DoctorReport:
    """Check whether the deployment may drive hardware: `ready`, and `checks` with a fix for each that failed."""
    return answer(
        asks.run_deployment_doctor(deployment_id),
        api_key,
        convex_url,
        backend_url,
    )
