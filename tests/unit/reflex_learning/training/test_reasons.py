"""Every end of a trainer has a reason in one sentence, and says whether it is worth to begin again."""

from __future__ import annotations

from pathlib import Path

import pytest

from reflex_learning.training.reasons import judge, kills_for_memory

TRACE = ["Traceback (most recent call last):", '  File "x.py", line 1, in <module>']
LOADER = "RuntimeError: DataLoader worker (pid(s) 77) exited unexpectedly"


@pytest.mark.parametrize(
    ("code", "lines", "memory", "word", "is_passing"),
    [
        (-9, [], False, "SIGKILL", True),
        (-15, [], False, "SIGTERM", True),
        (-9, [], True, "memory had run out", False),
        (1, [LOADER], True, "memory had run out", False),
        (1, [LOADER], False, "ended from outside", True),
        (1, ["torch.OutOfMemoryError: CUDA out of memory. Tried"], False, "ran out of memory", False),
        (1, [*TRACE, "ValueError: no such camera"], False, "ValueError: no such camera", False),
        (1, [*TRACE, "huggingface_hub.errors.OfflineModeIsEnabled: x"], False, "OfflineModeIsEnabled: x", False),
        (1, [], False, "see the run's log", False),
        (2, ["lerobot-train: error: unrecognized arguments: --x=1"], False, "unrecognized arguments: --x=1", False),
        (0, [], False, "before its last step", False),
        (-77, [], False, "signal 77", True),
    ],
)
def test_ends(code: int, lines: list[str], memory: bool, word: str, is_passing: bool) -> None:
    verdict = judge(code, lines, ran_out_of_memory=memory)

    assert word in verdict.reason
    assert verdict.is_passing is is_passing
    assert "\n" not in verdict.reason


def test_the_kernels_count_is_that_of_our_own_group(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("0::/jobs/7\n")
    (tmp_path / "jobs" / "7").mkdir(parents=True)
    (tmp_path / "jobs" / "7" / "memory.events").write_text("low 0\noom 3\noom_kill 2\noom_group_kill 0\n")
    (tmp_path / "vmstat").write_text("pgfault 9\noom_kill 5\n")

    assert kills_for_memory(tmp_path / "own", tmp_path, tmp_path / "vmstat") == 2
    assert kills_for_memory(tmp_path / "none", tmp_path, tmp_path / "vmstat") == 5
    assert kills_for_memory(tmp_path / "none", tmp_path, tmp_path / "none") == 0
