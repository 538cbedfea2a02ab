"""LoRA by LeRobot's own trainer under our worker: what is exported computes what its adapter does in LeRobot.

`make lerobot-training-test` makes the environment that it needs.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex.training.request import FAMILIES, WITHOUT_LORA, WITHOUT_WARMUP, LoraOptions, TrainingRequest
from stock_lerobot.stock import StockLeRobot, copy_of_recorded
from stock_lerobot.training import stock_python, trained

RANK: Final = 8
STEPS: Final = 6
WHERE: Final = "import importlib.util as util; print(util.find_spec('lerobot').submodule_search_locations[0])"


@pytest.fixture(scope="module")
def lerobot() -> Path:
    return stock_python()


def base_in(folder: Path) -> Path:
    """The recorded SmolVLA, that finds its VLM wherever it is loaded from."""
    base = copy_of_recorded("smolvla", folder)
    for name in ("config.json", "policy_preprocessor.json"):
        (base / name).write_text((base / name).read_text().replace('"./vlm"', json.dumps(str(base / "vlm"))))
    return base


def test_a_lora_run_is_trained_merged_and_computes_what_lerobot_does(lerobot: Path, tmp_path: Path) -> None:
    base = base_in(tmp_path / "base")
    request = TrainingRequest(
        dataset_id="d", base=f"model:{base}", method="lora_finetune", steps=STEPS, batch_size=2, seed=3, name="adapted",
        learning_rate=1e-2, lora=LoraOptions(rank=RANK, alpha=16, dropout=0.1), then=("export",),
    )  # fmt: skip
    queue = trained(tmp_path, lerobot, request)
    assert queue.ending is not None
    assert queue.ending.state == "succeeded", (queue.ending.reason, queue.log[-30:])

    checkpoint = tmp_path / "runs" / "run_1" / "training" / "checkpoints" / "last" / "pretrained_model"
    said = json.loads((checkpoint / "adapter_config.json").read_text())
    assert (said["r"], said["lora_alpha"], said["lora_dropout"]) == (RANK, 16, 0.1)

    stock = StockLeRobot(lerobot, tmp_path / "plugins")
    stock.run("record_adapter.py", checkpoint, tmp_path / "cases", cwd=tmp_path)
    asked = ["verify", str(tmp_path / "models"), "--policy", "adapted", "--cases", str(tmp_path / "cases"), "--json"]
    told = json.loads(CliRunner().invoke(app, asked).stdout)
    print(told)
    assert told["verdict"] == "passed"

    again = trained(tmp_path, lerobot, replace(request, steps=STEPS + 3, then=()), attempt=2)
    assert again.ending is not None
    assert (again.ending.state, again.ending.steps) == ("succeeded", STEPS + 3), again.ending.reason
    assert [metric.step for metric in again.metrics] == list(range(STEPS + 1, STEPS + 4))


def test_what_is_refused_of_a_family_is_what_lerobot_cannot_do(lerobot: Path) -> None:
    asked = subprocess.run([lerobot, "-c", WHERE], capture_output=True, text=True, check=True)
    policies = Path(asked.stdout.strip()) / "policies"
    configs = {family: (policies / family / f"configuration_{family}.py").read_text() for family in FAMILIES}
    models = {family: (policies / family / f"modeling_{family}.py").read_text() for family in FAMILIES}

    without = {family for family, text in configs.items() if "def get_scheduler_preset(self) -> None:" in text}
    assert without == WITHOUT_WARMUP
    assert {family for family, text in models.items() if "_get_default_peft_targets" not in text} == WITHOUT_LORA
