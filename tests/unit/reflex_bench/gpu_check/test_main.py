"""The check itself, on the processor: figures, a file that is whole, and sentences for what is left out."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reflex_bench.gpu_check import __main__ as check
from reflex_bench.gpu_check import isolated
from reflex_bench.gpu_check.card import machine_card
from reflex_bench.gpu_check.plan import FULL, SHARES, SMALL
from reflex_bench.gpu_check.report import Report
from reflex_bench.gpu_check.rows import Emit, Row
from support.checkpoints.golden import golden_folder
from support.waiting import HANGS_S, wait_until

TINY = replace(
    SMALL, copied_bytes=1 << 16, product_side=16, rounds=2, policies=[("pi0", 1)], batches=(1,), seconds=2000.0
)


def checked(tmp_path: Path, *only: str) -> dict[str, Any]:
    report = Report(machine_card(), is_small=True, commit="abc", path=tmp_path / "results" / "gpu.json")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    check.run(TINY, report, golden_folder("pi0").parent, scratch, only)
    written: dict[str, Any] = json.loads(report.path.read_text())
    return written


def test_ceilings_and_chunks_are_measured_and_written(tmp_path: Path) -> None:
    written = checked(tmp_path, "ceilings", "chunks")
    ways, ceilings, chunks = written["stages"]
    parts = {row["keys"]["part"]: row["value"] for row in chunks["rows"]}

    assert [row["keys"]["works"] for row in ways["rows"]] == ["cpu"]
    assert [row["keys"].get("ceiling") for row in ceilings["rows"]][:2] == ["copy", "product"]
    assert len(ceilings["rows"]) == 2 + 9
    assert set(parts) == {"encoder", "denoise", "together"}
    assert all(ms > 0 for ms in parts.values())
    assert "lower bounds" in chunks["left_out"][0]
    assert (written["commit"], written["small"]) == ("abc", True)
    assert set(written["versions"]) == {"onnxruntime", "numpy"}


def test_a_stage_without_time_is_said_and_the_others_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "LEAST_S", 1e6)

    [ways, ceilings] = checked(tmp_path, "ceilings")["stages"]

    assert ways["left_out"] == ["the time is over; a longer --seconds gives it some"]
    assert ceilings["left_out"] == ["no way of running works here"]


def test_a_machine_without_a_card_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    assert check.main(["--output", str(tmp_path / "gpu.json")]) == 1
    assert "install NVIDIA's driver" in capsys.readouterr().err


def test_the_shares_are_of_one_whole_and_the_whole_is_eight_minutes() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)
    assert FULL.seconds == 480
    assert SHARES["ways"] * FULL.seconds > 50, "importing PyTorch from a cold disk"


def test_on_a_card_everything_is_measured_that_the_documents_tell_of() -> None:
    assert {(family, cameras) for family, cameras in FULL.policies} == {
        (family, cameras) for family in ("pi0", "pi05", "smolvla") for cameras in (1, 2, 3)
    }
    assert (FULL.batches, FULL.arithmetics) == ((1, 2, 4, 8), ("fp32", "fp16", "fp16_mlp"))
    assert FULL.ways == ("cuda", "trt-rtx")


def waits(emit: Emit, *, is_deaf: bool) -> None:
    """A stage that would last for ever, with a temporary folder that it does not remove itself."""
    if is_deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(tempfile.mkdtemp(), "gigabytes").touch()
    emit(Row("pid", float(os.getpid()), ""))
    threading.Event().wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_whatever_ends_it_its_figures_are_written_and_its_stage_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    is_killed = number == signal.SIGKILL
    monkeypatch.setattr(check, "_works", lambda *_: {"ways": partial(waits, is_deaf=not is_killed)})
    monkeypatch.setattr(isolated, "POLITE_S", 0.1)
    output, scratch = tmp_path / "gpu.json", tmp_path / "scratch"
    scratch.mkdir()
    given = ["--small", "--seconds", "2000", "--output", str(output), "--scratch", str(scratch)]
    process = multiprocessing.get_context("fork").Process(target=lambda: sys.exit(check.main(given)))
    process.start()

    def pid() -> int:
        stages = json.loads(output.read_text())["stages"] if output.exists() else []
        return int(stages[0]["rows"][0]["value"]) if stages else 0

    wait_until(pid, "its first figure is in the file")
    stage = pid()
    os.kill(process.pid or 0, number)
    process.join(HANGS_S)

    wait_until(lambda: not Path(f"/proc/{stage}/cwd").exists(), "the stage has ended")
    assert pid() == stage
    assert process.exitcode == (-number if is_killed else check.INTERRUPTED)
    assert is_killed or list(scratch.iterdir()) == []


def test_a_run_that_ignores_hanging_up_goes_on_doing_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with check._ended_in_order():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
def test_a_whole_small_run_measures_every_stage(tmp_path: Path) -> None:
    output = tmp_path / "gpu.json"

    assert check.main(["--small", "--output", str(output), "--scratch", str(tmp_path), "--seconds", "2000"]) == 0
    written = json.loads(output.read_text())

    assert [stage["name"] for stage in written["stages"]] == list(SHARES)
    assert {row["keys"]["verdict"] for row in written["stages"][3]["rows"]} == {"passed"}
    assert {row["keys"]["act"] for row in written["stages"][4]["rows"]} == {"p50", "infer", "over model"}
