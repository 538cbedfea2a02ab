"""Every kind of connector keeps the contract that users' own classes are held to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from reflex.connector import Connector
from reflex.testing.connector_contract import ConnectorContract
from reflex_runner.connectors.build import build_connector
from support.outside.drawing import skip_without_pictures

REPOSITORY = Path(__file__).parents[4]
EXAMPLES = REPOSITORY / "examples"
FAKE_LEROBOT = REPOSITORY / "tests" / "support" / "robots" / "fake_lerobot"


class OfCommands(ConnectorContract):
    state_dim = 6
    kept: Any

    def make_connector(self) -> Connector:
        command = [sys.executable, "-S", "command_arm.py"]
        cfg = {"observe": command, "apply": command, "safe_stop": command, "command_timeout_s": 60.0}
        return build_connector("subprocess", {**cfg, "persistent": self.kept}, folder=EXAMPLES)


class TestOneCommandThatStays(OfCommands):
    kept = True

    def make_failing(self) -> Connector:
        cfg = {"observe": "false", "apply": "true", "persistent": True}
        return build_connector("subprocess", cfg)


class TestAProcessForEachRequest(OfCommands):
    kept = False


class TestAClassOfOnesOwn(ConnectorContract):
    state_dim = 6

    def make_connector(self) -> Connector:
        return build_connector("own_arm:OwnArm", {"port": "/dev/ttyUSB0"}, folder=EXAMPLES)

    def make_failing(self) -> Connector:
        return build_connector("own_arm:OwnArm", {"port": ""}, folder=EXAMPLES)


class TestARobotOfLeRobot(ConnectorContract):
    state_dim = 2

    @pytest.fixture(autouse=True)
    def _played(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONPATH", str(FAKE_LEROBOT))
        self.journal = str(tmp_path / "journal")

    def make_connector(self) -> Connector:
        return self.made(does="well")

    def make_failing(self) -> Connector:
        return self.made(does="uncalibrated")

    def made(self, does: str) -> Connector:
        robot = {"journal": self.journal, "does": does}
        cfg = {"robot": robot, "state": ["shoulder.pos", "wheel.vel"], "command_timeout_s": 60.0}
        return build_connector("lerobot:fake_follower", cfg)


class TestTheSimulator(ConnectorContract):
    state_dim = 6

    @pytest.fixture(autouse=True)
    def _drawn(self) -> None:
        skip_without_pictures()

    def make_connector(self) -> Connector:
        return build_connector("sim", {"width": 32, "height": 24})
