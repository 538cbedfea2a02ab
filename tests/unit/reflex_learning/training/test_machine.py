"""The queue learns of this machine what its tools say, and nothing where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from reflex_learning.training.environment import TrainerEnvironment
from reflex_learning.training.machine import facts_of, gpu_memory


@pytest.mark.parametrize(
    ("script", "memory"),
    [("echo 81559; echo 24564", 24564 * 2**20), ("echo no devices; exit 9", None), ("exit 9", None), ("true", None)],
)
def test_the_smallest_gpu_counts(tmp_path: Path, script: str, memory: int | None) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)

    assert gpu_memory(str(program)) == memory


def test_a_machine_without_the_tool_has_none() -> None:
    assert gpu_memory("no-such-program") is None


def test_facts(tmp_path: Path) -> None:
    trains = TrainerEnvironment(tmp_path / "python", "cpu", ("act",))
    facts = facts_of(tmp_path, "box", trains)

    assert (facts.name, facts.gpu_memory_bytes, facts.families) == ("box", None, ("act",))
    assert facts_of(tmp_path, None, trains).worker_id == facts.worker_id
