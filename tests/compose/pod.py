"""A container of a rendered pod as `docker run` starts it: with the pod's user, rights, mounts, limits and command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from compose.engine import Engine
from helm.chart import Manifest, containers_of

__all__ = ["Container", "container_of"]

UNITS: Final = {"Gi": "g", "Mi": "m", "Ki": "k"}
"""Kubernetes' words for what Docker calls so."""


@dataclass(frozen=True)
class Container:
    """What `docker run` gets, but for the container's name."""

    image: str
    options: tuple[str, ...]
    command: tuple[str, ...]

    def start(self, engine: Engine, name: str) -> None:
        """In the background; whoever starts it removes it. What an ended run left of that name goes first."""
        [program, *arguments] = self.command
        engine.docker("rm", "--force", name, check=False)
        engine.docker("run", "--detach", "--name", name, *self.options, "--entrypoint", program, self.image, *arguments)

    def with_arguments(self, **changed: str) -> Container:
        """The same with other values of some `--name=value`."""
        given = {f"--{name}=": value for name, value in changed.items()}
        words = [
            next((f"{name}{given[name]}" for name in given if word.startswith(name)), word) for word in self.command
        ]
        return replace(self, command=tuple(words))


def container_of(spec: Manifest, name: str, image: str, places: Mapping[str, Path]) -> Container:
    """`places` are the folders that the pod's volumes are here; an `emptyDir` without one is memory."""
    container, pod = containers_of(spec)[name], spec["securityContext"]
    own = container["securityContext"]
    assert pod["runAsNonRoot"] is own["runAsNonRoot"] is True
    options = ["--network=none", f"--user={pod['runAsUser']}:{pod['runAsGroup']}", f"--group-add={pod['fsGroup']}"]
    options += ["--read-only"] * own["readOnlyRootFilesystem"]
    options += ["--security-opt=no-new-privileges"] * (not own["allowPrivilegeEscalation"])
    options += [f"--cap-drop={capability}" for capability in own["capabilities"]["drop"]]
    options += [f"--memory={_size(container['resources']['limits']['memory'])}"]
    options += _mounts(container["volumeMounts"], {volume["name"]: volume for volume in spec["volumes"]}, places)
    return Container(image, tuple(options), (*container["command"], *container["args"]))


def _mounts(mounts: Sequence[Manifest], volumes: Mapping[str, Manifest], places: Mapping[str, Path]) -> list[str]:
    return [_mount(mount, volumes[mount["name"]], places.get(mount["name"])) for mount in mounts]


def _mount(mount: Mapping[str, Any], volume: Mapping[str, Any], place: Path | None) -> str:
    if place is None:
        return f"--tmpfs={mount['mountPath']}:mode=1777,size={_size(volume['emptyDir']['sizeLimit'])}"
    is_read_only = mount.get("readOnly") or volume.get("persistentVolumeClaim", {}).get("readOnly")
    return f"--volume={place}:{mount['mountPath']}" + (":ro" if is_read_only else "")


def _size(quantity: str) -> str:
    return next(
        (quantity.removesuffix(unit) + word for unit, word in UNITS.items() if quantity.endswith(unit)), quantity
    )
