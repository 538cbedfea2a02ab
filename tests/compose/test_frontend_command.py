"""What compose.yaml tells `reflex serve` by where the port is published: its own shell, run with a stand-in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from reflex.errors import InvalidRequestError
from reflex.serving.hosts import AllowedHosts, allowed_hosts

REPOSITORY: Final = Path(__file__).parents[2]
FRONTEND: Final = yaml.safe_load((REPOSITORY / "compose.yaml").read_text(encoding="utf-8"))["services"]["frontend"]
STAND_IN: Final = '#!/bin/sh\nprintf \'%s|%s\' "${REFLEX_INSECURE-}" "${REFLEX_ALLOWED_HOSTS-}"\n'


def told(folder: Path, published_on: str, **environment: str) -> tuple[str, str]:
    """REFLEX_INSECURE and REFLEX_ALLOWED_HOSTS as the server sees them."""
    (stand_in := folder / "reflex").write_text(STAND_IN, encoding="utf-8")
    stand_in.chmod(0o755)
    path = {"PATH": f"{folder}:{os.environ['PATH']}"}
    command = [part.replace("$$", "$") for part in (*FRONTEND["entrypoint"], *FRONTEND["command"])]
    answer = subprocess.run(
        command, env={**path, "PUBLISHED_ON": published_on, **environment}, check=True, capture_output=True, text=True
    ).stdout
    insecure, _, hosts = answer.partition("|")
    return insecure, hosts


def answers(hosts: AllowedHosts, name: bytes) -> bool:
    try:
        hosts.check([(b"host", name)])
    except InvalidRequestError:
        return False
    return True


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
def test_on_loopback_only_local_names_are_answered_and_no_keys_asked_for(tmp_path: Path, address: str) -> None:
    insecure, given = told(tmp_path, address, REFLEX_INSECURE="")
    hosts = allowed_hosts("0.0.0.0", tuple(given.split(",")))

    assert insecure == "true"
    for name in (b"localhost:8000", b"127.0.0.1:8000", b"app.localhost", b"frontend:8000", b"[::1]:8000"):
        assert answers(hosts, name), name
    for name in (b"evil.example", b"frontend.evil.example", b"localhost.evil.example"):
        assert not answers(hosts, name), name


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.5", "::"])
def test_beyond_loopback_nothing_is_assumed(tmp_path: Path, address: str) -> None:
    assert told(tmp_path, address, REFLEX_INSECURE="") == ("", "")


def test_what_was_given_is_kept(tmp_path: Path) -> None:
    assert told(tmp_path, "127.0.0.1", REFLEX_INSECURE="false", REFLEX_ALLOWED_HOSTS="cell-7") == ("false", "cell-7")


def test_the_container_s_environment_does_not_hide_what_reflex_env_says() -> None:
    assert "REFLEX_ALLOWED_HOSTS" not in FRONTEND["environment"]
