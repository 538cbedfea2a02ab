"""docker/selinux.yaml labels every folder of the host that compose.yaml mounts, and changes nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

REPOSITORY: Final = Path(__file__).parents[2]
Mounts = dict[tuple[str, str], dict[str, Any]]


def binds_of(path: str) -> Mounts:
    """Every mount of a folder of the host, by service and target."""
    services = yaml.safe_load((REPOSITORY / path).read_text(encoding="utf-8"))["services"]
    return {
        (name, volume["target"]): volume
        for name, service in services.items()
        for volume in service.get("volumes", [])
        if isinstance(volume, dict) and volume["type"] == "bind"
    }


def test_every_folder_of_the_host_is_labelled_as_shared() -> None:
    plain, labelled = binds_of("compose.yaml"), binds_of("docker/selinux.yaml")

    assert plain.keys() == labelled.keys()
    assert {volume["bind"]["selinux"] for volume in labelled.values()} == {"z"}
    assert all(volume["bind"]["create_host_path"] for volume in labelled.values()), "Docker would drop the label"


def test_nothing_but_the_label_differs() -> None:
    labelled = binds_of("docker/selinux.yaml")
    for where, volume in binds_of("compose.yaml").items():
        assert labelled[where].get("read_only") == volume.get("read_only"), where
        source = volume["source"].replace(":-/dev/null", ":-./model_repository")
        assert labelled[where]["source"] == source, where


def test_no_device_of_the_host_is_labelled() -> None:
    assert "source: /dev" not in (text := (REPOSITORY / "docker" / "selinux.yaml").read_text(encoding="utf-8"))
    assert ":-/dev" not in text


def test_it_changes_mounts_alone() -> None:
    services = yaml.safe_load((REPOSITORY / "docker" / "selinux.yaml").read_text(encoding="utf-8"))["services"]

    assert {key for service in services.values() for key in service} == {"volumes"}
