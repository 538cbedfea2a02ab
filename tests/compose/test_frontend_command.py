"""What compose.yaml tells `reflex serve` and `reflex control serve`: its own shell, run with a stand-in."""

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
SERVICES: Final = yaml.safe_load((REPOSITORY / "compose.yaml").read_text(encoding="utf-8"))["services"]
FRONTEND: Final = SERVICES["frontend"]
STAND_IN: Final = "#!/bin/sh\nexec env\n"


def seen_by(service: str, folder: Path, **environment: str) -> dict[str, str]:
    """The environment in which the service's program is started."""
    (stand_in := folder / "reflex").write_text(STAND_IN, encoding="utf-8")
    stand_in.chmod(0o755)
    told = {"PATH": f"{folder}:{os.environ['PATH']}", **environment}
    command = [part.replace("$$", "$") for part in (*SERVICES[service]["entrypoint"], *SERVICES[service]["command"])]
    printed = subprocess.run(command, env=told, check=True, capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in printed.splitlines())


def told(folder: Path, published_on: str, **environment: str) -> tuple[str, str]:
    """REFLEX_INSECURE and REFLEX_ALLOWED_HOSTS as the server sees them."""
    seen = seen_by("frontend", folder, PUBLISHED_ON=published_on, **environment)
    return seen.get("REFLEX_INSECURE", ""), seen.get("REFLEX_ALLOWED_HOSTS", "")


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


def test_the_control_plane_on_loopback_answers_to_local_names_and_its_own_alone(tmp_path: Path) -> None:
    given = seen_by("control", tmp_path, PUBLISHED_ON="127.0.0.1")["REFLEX_CONTROL_ALLOWED_HOSTS"]
    hosts = allowed_hosts("0.0.0.0", tuple(given.split(",")))

    assert [answers(hosts, name) for name in (b"localhost:8100", b"control:8100", b"evil.example")] == [
        True,
        True,
        False,
    ]
    assert "REFLEX_CONTROL_ALLOWED_HOSTS" not in seen_by("control", tmp_path, PUBLISHED_ON="0.0.0.0")
    kept = seen_by("control", tmp_path, PUBLISHED_ON="127.0.0.1", REFLEX_CONTROL_ALLOWED_HOSTS="lab")
    assert kept["REFLEX_CONTROL_ALLOWED_HOSTS"] == "lab"


def test_a_keyset_in_the_folder_of_keys_counts_where_sessions_are_asked_for(tmp_path: Path) -> None:
    folder = FRONTEND["command"][0].partition("-f ")[2].partition("/keyset.json")[0]
    (tmp_path / "keyset.json").touch()
    [command] = [word.replace(folder, str(tmp_path)) for word in FRONTEND["command"]]
    service = {**FRONTEND, "command": [command]}

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SERVICES, "frontend", service)
        asked = seen_by("frontend", tmp_path, PUBLISHED_ON="", REFLEX_SESSIONS_FROM="http://control:8100")
        unasked = seen_by("frontend", tmp_path, PUBLISHED_ON="", REFLEX_SESSIONS_FROM="")
    without = seen_by("frontend", tmp_path, PUBLISHED_ON="", REFLEX_SESSIONS_FROM="http://control:8100")

    assert folder == "/run/secrets/reflex"
    assert asked["REFLEX_SESSION_KEY"] == f"{tmp_path}/keyset.json"
    assert "REFLEX_SESSION_KEY" not in unasked | without


def test_a_folder_of_keys_without_keys_is_a_slip_unless_sessions_keep_strangers_out(tmp_path: Path) -> None:
    given = {"PUBLISHED_ON": "", "REFLEX_API_KEYS": "/run/secrets/reflex/api-keys"}

    assert "REFLEX_API_KEYS" in seen_by("frontend", tmp_path, **given)
    assert "REFLEX_API_KEYS" in seen_by("frontend", tmp_path, REFLEX_SESSIONS_FROM="http://control:8100", **given)
