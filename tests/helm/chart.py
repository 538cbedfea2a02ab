"""The chart as the tests see it: rendered in this process by Helm's own library, without a cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache, reduce
from pathlib import Path
from typing import Any, Final

import yaml
from helm_python import Chart, HelmError, lint

__all__ = [
    "CHART",
    "REPOSITORY",
    "Chart",
    "Manifest",
    "containers_of",
    "lint",
    "merged",
    "notes",
    "of_kind",
    "only",
    "pod_specs",
    "refusal",
    "render",
]

REPOSITORY: Final = Path(__file__).parents[2]
CHART: Final = REPOSITORY / "helm" / "reflex"
RELEASE: Final = "cell"
NAMESPACE: Final = "robots"

# Ten times as quick as the one in Python; PyYAML has it where libyaml was there to build it with.
YAML: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Manifest = dict[str, Any]


def render(values: Mapping[str, Any] | None = None, *, name: str = RELEASE, path: Path = CHART) -> list[Manifest]:
    """Every object of the release, hooks and tests included; NOTES.txt is none. The caller may change them."""
    return deepcopy(_manifests(json.dumps(values or {}), name, path))


def notes(values: Mapping[str, Any] | None = None) -> str:
    """What Helm prints after an install."""
    files = _rendered(json.dumps(values or {}), RELEASE, CHART)
    return next(text for file, text in files.items() if file.endswith("NOTES.txt"))


@lru_cache(maxsize=64)
def _manifests(values: str, name: str, path: Path) -> list[Manifest]:
    """Many tests look at the same release."""
    texts = [text for file, text in sorted(_rendered(values, name, path).items()) if not file.endswith("NOTES.txt")]
    return [manifest for text in texts for manifest in yaml.load_all(text, Loader=YAML) if manifest]


@lru_cache(maxsize=64)
def _rendered(values: str, name: str, path: Path) -> Mapping[str, str]:
    """The text of every template, of values as JSON."""
    with Chart.load(path) as chart:
        files: Mapping[str, str] = chart.render(json.loads(values), name=name, namespace=NAMESPACE)
    return files


def refusal(values: Mapping[str, Any]) -> str:
    """Why the chart does not take these values; fails when it does."""
    try:
        render(values)
    except HelmError as exc:
        return str(exc)
    raise AssertionError(f"the chart took {json.dumps(values)}")


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def only(manifests: list[Manifest], kind: str) -> Manifest:
    """The one object of that kind."""
    [found] = of_kind(manifests, kind)
    return found


def pod_specs(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Every pod that the objects lead to, by `Kind/name`."""
    specs = {}
    for manifest in manifests:
        where = f"{manifest['kind']}/{manifest['metadata']['name']}"
        if manifest["kind"] == "Pod":
            specs[where] = manifest["spec"]
        elif manifest["kind"] in ("Deployment", "Job"):
            specs[where] = manifest["spec"]["template"]["spec"]
        elif manifest["kind"] == "CronJob":
            specs[where] = manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return specs


def containers_of(spec: Manifest) -> dict[str, Manifest]:
    """Of one pod, by name; init containers too."""
    return {each["name"]: each for each in [*spec.get("initContainers", []), *spec["containers"]]}


def merged(*fragments: Mapping[str, Any]) -> dict[str, Any]:
    """Values laid over each other as Helm does: mappings by key, everything else as a whole."""
    return reduce(_laid_over, fragments, {})


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(below)
    for key, value in above.items():
        is_deeper = isinstance(value, Mapping) and isinstance(both.get(key), Mapping)
        both[key] = _laid_over(both[key], value) if is_deeper else value
    return both
