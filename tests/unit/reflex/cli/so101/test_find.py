from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex_runner.so101 import bus, search
from reflex_runner.so101.search import SerialPort
from support.servos.wires import pty_bus


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "ANSWER_WITHIN_S", 20.0)


def ports_are(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(search, "serial_ports", lambda: [SerialPort(name, 0x1A86) for name in names])


def test_the_port_is_the_result_and_what_was_asked_is_told_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pty_bus() as servos:
        ports_are(monkeypatch, servos.port, "/dev/ttyACM77")
        shown = CliRunner().invoke(app, ["so101", "find"])
        told = json.loads(CliRunner().invoke(app, ["so101", "find", "--json"]).stdout)

    assert (shown.exit_code, shown.stdout) == (0, f"{servos.port}\n")
    assert f"{servos.port}: has all six servos" in shown.stderr
    assert "there is no port /dev/ttyACM77" in shown.stderr
    assert told["port"] == servos.port
    assert [one["has_arm"] for one in told["candidates"]] == [True, False]


def test_without_an_arm_it_fails_with_the_line_that_names_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    ports_are(monkeypatch, "/dev/ttyACM77")

    found = CliRunner().invoke(app, ["so101", "find"])
    told = json.loads(CliRunner().invoke(app, ["so101", "find", "--json"]).stdout)

    assert found.exit_code == 1
    assert "Could not auto-detect an SO-101 serial bus" in found.stderr
    assert "export REFLEX_SO101_PORT=/dev/ttyACM77" in found.stderr
    assert told["error"] == "arm_port"
