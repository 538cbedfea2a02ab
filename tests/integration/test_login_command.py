"""`reflex login` as people run it, against the real control plane: confirmed by an admin, or interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import func, select

from reflex_control.store.tables import api_key, device_login
from support.outside.control_plane import ControlProcess, Tenant, prepared_store, running_control
from support.waiting import HANGS_S, wait_until

pytestmark = pytest.mark.slow

REFLEX = (sys.executable, "-m", "reflex.cli")
OURS = ("REFLEX_API_KEY", "REFLEX_CONVEX_URL", "REFLEX_BACKEND_URL", "REFLEX_CONFIG_FILE")


@dataclass(frozen=True)
class Scene:
    control: ControlProcess
    ours: Tenant
    folder: Path
    """Of this scene's own; the control plane is everybody's."""

    @property
    def stored(self) -> Path:
        return self.folder / "credentials.json"

    def environment(self, **more: str) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if name not in OURS}
        return {**mine, "REFLEX_CONVEX_URL": self.control.base_url, "REFLEX_CONFIG_DIR": str(self.folder), **more}

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*REFLEX, *arguments], env=self.environment(**environment), text=True, check=False,
                              capture_output=True, timeout=HANGS_S)  # fmt: skip

    def begin(self, *arguments: str) -> tuple[subprocess.Popen[str], str]:
        """A login that waits, and the code that it shows."""
        process = subprocess.Popen([*REFLEX, "login", *arguments], env=self.environment(), text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        assert process.stderr is not None
        shown = process.stderr.readline() + process.stderr.readline()
        found = re.search(r"reflex keys confirm (\S+)\n$", shown)
        assert found is not None, shown
        assert f"open {self.control.base_url}/device and confirm the code {found[1]}\n" in shown
        return process, found[1]

    def count(self, what: object) -> int:
        with self.ours.store.reading() as connection:
            return int(connection.scalar(select(func.count()).select_from(what)) or 0)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ControlProcess, Tenant]]:
    data = tmp_path_factory.mktemp("control") / "data"
    with prepared_store(data) as (ours, _), running_control(data, "--public-rate-limit", "1000000") as control:
        yield control, ours


@pytest.fixture
def scene(served: tuple[ControlProcess, Tenant], tmp_path: Path) -> Scene:
    return Scene(*served, tmp_path / "config")


def test_a_login_is_confirmed_at_the_command_line_and_used_until_it_is_taken_back(scene: Scene) -> None:
    process, code = scene.begin("--json")
    confirmed = scene.run(
        "keys", "confirm", code, "--scope", "read", "--json", REFLEX_API_KEY=scene.ours.admin().secret
    )
    out, _ = process.communicate(timeout=HANGS_S)

    assert json.loads(confirmed.stdout)["status"] == "confirmed"
    assert (process.returncode, json.loads(out)["key"]["scopes"]) == (0, ["read"])
    assert json.loads(out)["file"] == str(scene.stored)
    key = json.loads(scene.stored.read_text())["apiKey"]
    assert key not in out + scene.control.log
    assert scene.run("whoami").returncode == 0
    assert scene.run("logout", "--revoke").returncode == 0
    assert scene.run("whoami", REFLEX_API_KEY=key).returncode == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_login_leaves_nothing_here_and_nothing_there(scene: Scene, number: signal.Signals) -> None:
    others = scene.count(device_login)
    process, code = scene.begin("--json")
    wait_until(lambda: scene.count(device_login) == others + 1, "it waits")
    process.send_signal(number)
    out, said = process.communicate(timeout=HANGS_S)

    assert (process.returncode, json.loads(out)["error"]) == (130, "interrupted")
    assert "Traceback" not in said
    assert not scene.stored.exists()
    assert scene.count(device_login) == others
    keys = scene.count(api_key)
    told = scene.run("keys", "confirm", code, REFLEX_API_KEY=scene.ours.admin().secret)
    assert (told.returncode, scene.count(api_key)) == (1, keys + 1)
    assert told.stderr.startswith("reflex: no login of this code waits")


def test_a_login_that_an_admin_refuses_says_so(scene: Scene) -> None:
    process, code = scene.begin()
    assert scene.run("keys", "confirm", code, "--refuse", REFLEX_API_KEY=scene.ours.admin().secret).returncode == 0
    _, said = process.communicate(timeout=HANGS_S)

    assert process.returncode == 1
    assert said == "reflex: this login was refused; ask who administers the organisation why\n"
    assert not scene.stored.exists()
