from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from reflex.cli import app
from reflex.correction.files import read_head
from support.motion.drifting import recorded_drift

RUNNER = CliRunner()
QUICK = ("--reach-ms", "200", "--epochs", "10", "--hidden", "16")


def test_it_writes_a_head_and_says_what_it_is_good_for(tmp_path: Path) -> None:
    traces, out = recorded_drift(tmp_path / "a_0.jsonl.gz", episodes=8), tmp_path / "head.safetensors"

    text = RUNNER.invoke(app, ["train", "a2c2", str(traces), "--out", str(out), *QUICK])
    as_json = RUNNER.invoke(app, ["train", "a2c2", str(traces), "--out", str(out), *QUICK, "--json"])

    assert text.exit_code == 0, text.stderr
    assert "of the error is removed" in text.stdout
    told = json.loads(as_json.stdout)
    training = read_head(out).description.training
    assert training is not None
    assert told["training"]["error_removed"] == training.error_removed > 0
    assert (told["file"], told["requests"]) == (str(out), 160)


def test_what_cannot_be_trained_or_kept_is_one_sentence(tmp_path: Path) -> None:
    traces = recorded_drift(tmp_path / "a_0.jsonl.gz", episodes=1, each=3)
    for out, said in (("x/head.safetensors", "no folder"), ("head.onnx", "head.json"), ("h.safetensors", "too few")):
        ended = RUNNER.invoke(app, ["train", "a2c2", str(traces), "--out", str(tmp_path / out)])
        assert ended.exit_code == 1
        assert said in ended.stderr
        assert "Traceback" not in ended.stderr
    assert not list(tmp_path.glob("h*"))
