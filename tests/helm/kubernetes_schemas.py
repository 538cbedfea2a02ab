"""Is this what the API server of that Kubernetes release takes? By its published schemas, unknown fields refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from jsonschema import Draft202012Validator
from kubernetes_validate import utils
from referencing import Registry, Resource

from helm.chart import Manifest

__all__ = ["BUILT_IN", "VERSIONS", "problems"]

OLDEST: Final = (1, 28)
"""As kubeVersion of Chart.yaml says."""
BUILT_IN: Final = re.compile(r"^(v1|(apps|batch|autoscaling|policy)/v\d\w*|networking\.k8s\.io/v\d)$")


def _versions() -> list[str]:
    """1.28 to the newest that the package carries."""
    known = {utils.major_minor(version) for version in utils.all_versions()}
    numbers = sorted((int(major), int(minor)) for major, minor in (version.split(".") for version in known))
    return [f"{major}.{minor}" for major, minor in numbers if (major, minor) >= OLDEST]


VERSIONS: Final = tuple(_versions())


def problems(manifest: Manifest, version: str) -> Iterator[str]:
    """One line for each violation, with the path to it."""
    validator = _validator(version, manifest["apiVersion"], manifest["kind"])
    for error in validator.iter_errors(manifest):
        where = ".".join(str(part) for part in error.absolute_path)
        yield f"{manifest['kind']}/{manifest['metadata']['name']} {where}: {error.message} (Kubernetes {version})"


@cache
def _validator(version: str, api_version: str, kind: str) -> Any:
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    schema = _contents(version, f"{kind.lower()}-{group}.json")
    return Draft202012Validator(schema, registry=_registry(version, str(schema.get("$schema"))))


@cache
def _registry(version: str, dialect: str) -> Any:
    definitions = Resource.from_contents(_contents(version, "_definitions.json"))
    registry: Any = definitions @ Registry()
    return registry


def _contents(version: str, file: str) -> dict[str, Any]:
    contents: dict[str, Any] = utils.schema_contents(
        f"kubernetes-json-schema/v{version}.0-local-strict/{file}", version
    )
    return contents
