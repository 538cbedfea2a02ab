"""The trainer: STUB_TRAINER in the environment, an object of JSON, says how it fails, and how long a step takes.

step_s; at a step: fail_at (a message), exit_at, hang_at, kill_at (only a run that begins), nan_from; deaf (to SIGTERM),
golden (a folder whose model the checkpoints hold, of jobs whose name begins with golden_for). Its loss is a function of
the seed and the step alone.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from lerobot.arguments import parse
from lerobot.files import load, save
from lerobot.policies.pretrained import PreTrainedPolicy

__all__ = ["MetricsTracker", "main"]

ROOT = logging.getLogger()


class Meter:
    def __init__(self, avg: float) -> None:
        self.avg = avg


class MetricsTracker:
    """Logged as an object; its text rounds."""

    def __init__(self, steps: int, loss: float) -> None:
        self.steps = steps
        self.metrics = {name: Meter(value) for name, value in
                        {"loss": loss, "grad_norm": 7.5, "lr": 1e-5, "update_s": 0.01, "dataloading_s": 0.001,
                         "samples_per_s": 112.0, "l1_loss": loss}.items()}  # fmt: skip

    def __str__(self) -> str:
        shown = f"{self.steps // 1000}K" if self.steps >= 1000 else str(self.steps)
        loss = self.metrics["loss"].avg
        told = f"step:{shown} smpl:24K ep:630 epch:1.05 loss:{loss:.3f} grdn:7.500 lr:1.0e-05"
        return f"{told} updt_s:0.010 data_s:0.001 smp/s:112 l1_loss:{loss:.3f}"


def main() -> None:
    how = json.loads(os.environ.get("STUB_TRAINER", "{}"))
    config = parse(sys.argv[1:])
    _log_as_lerobot()
    if how.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    step, weight = _begin(config)
    ROOT.info("Creating dataset")
    _load_dataset(config)
    if "peft.r" in config and "policy.path" not in config:
        raise ValueError("Training from scratch using PEFT is unlikely to yield good results. ")
    if "peft.r" in config:
        PreTrainedPolicy().wrap_with_peft(None, {name: config[f"peft.{name}"] for name in ("r", "lora_alpha")})
        ROOT.info("PEFT %s", json.dumps(PreTrainedPolicy.told))
    loaders = [_loader() for _ in range(config["num_workers"])]
    first, begins = step, step
    while step < config["steps"]:
        time.sleep(how.get("step_s", 0.0))
        step += 1
        weight = (31 * weight + config["seed"] + step) % 1_000_003
        _show_bar(step - first, config["steps"] - first)
        _fail(how, step, is_new=begins == 0)
        if step % config["log_freq"] == 0:
            ROOT.info(MetricsTracker(step, float("nan") if step >= how.get("nan_from", 1e9) else weight / 1e6))
        if (config["save_freq"] > 0 and step % config["save_freq"] == 0) or step == config["steps"]:
            ROOT.info("Checkpoint policy after step %s", step)
            save(config, step, weight, how)
    for pipe in loaders:
        os.close(pipe)
    ROOT.info("End of training")


def _begin(config: dict[str, Any]) -> tuple[int, int]:
    """LeRobot looks at the folder before it looks at the data."""
    if config["policy.push_to_hub"] and "policy.repo_id" not in config:
        raise ValueError("'repo_id' argument missing. Please specify it to push the model to the hub.")
    if config["resume"]:
        step, weight = load(config["config_path"])
        return int(step), int(weight)
    if Path(config["output_dir"]).is_dir():
        raise FileExistsError(f"Output directory {config['output_dir']} already exists and resume is False. ")
    return 0, config["seed"]


def _load_dataset(config: dict[str, Any]) -> None:
    if not (Path(config.get("dataset.root", "")) / "meta" / "info.json").is_file():
        raise ConnectionError("Cannot reach the hub: offline mode is enabled.")


def _fail(how: dict[str, Any], step: int, *, is_new: bool) -> None:
    if step == how.get("fail_at"):
        raise RuntimeError(how.get("message", "the stub was told to fail"))
    if step == how.get("exit_at"):
        os._exit(how.get("code", 0))
    while step == how.get("hang_at"):
        signal.pause()
    if step == how.get("kill_at") and (is_new or how.get("always")):
        os.kill(os.getpid(), signal.SIGKILL)


def _loader() -> int:
    """A process that ends when the trainer does, as those of PyTorch; the end of the pipe that it waits for."""
    reads, writes = os.pipe()
    if os.fork() == 0:
        os.close(writes)
        os.read(reads, 1)
        os._exit(0)
    os.close(reads)
    return writes


def _show_bar(done: int, whole: int) -> None:
    width = 10 * done // whole
    bar = "█" * width + " " * (10 - width)
    sys.stderr.write(f"\rTraining: {100 * done // whole:3d}%|{bar}| {done}/{whole} [00:01<00:02,  1.65step/s]")
    sys.stderr.flush()


def _log_as_lerobot() -> None:
    class Formatted(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            now = dt.datetime.now().strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ005
            place = f"{record.pathname}:{record.lineno}"[-15:]
            return f"{record.levelname} {now} {place:>15} {record.getMessage()}"

    handler = logging.StreamHandler()
    handler.setFormatter(Formatted())
    logger = ROOT
    logger.handlers.clear()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


if __name__ == "__main__":
    main()
