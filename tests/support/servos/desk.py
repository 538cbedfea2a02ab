"""An arm on a desk, as the command line finds it: a port in the environment, and LeRobot's folder of calibrations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reflex_runner.so101 import bus
from support.servos.arms import calibrate, write_file
from support.servos.chain import Chain
from support.servos.wires import PtyBus, pty_bus

__all__ = ["Desk", "desk"]


@dataclass(frozen=True)
class Desk:
    servos: PtyBus
    file: Path

    @property
    def chain(self) -> Chain:
        return self.servos.chain


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """The bus waits long for an answer, for a busy machine gives it late."""
    monkeypatch.setattr(bus, "ANSWER_WITHIN_S", 20.0)
    monkeypatch.setenv("HF_LEROBOT_CALIBRATION", str(tmp_path))
    with pty_bus(calibrate(Chain())) as servos:
        monkeypatch.setenv("REFLEX_SO101_PORT", servos.port)
        yield Desk(servos, write_file(tmp_path))
