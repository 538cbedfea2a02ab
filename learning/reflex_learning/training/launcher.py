"""Runs LeRobot's trainer, and writes its numbers as lines of JSON: `launcher.py DESCRIPTOR LORA_DROPOUT ARGUMENT...`.

The trainer's own Python runs this file, with `-P` so that no module beside it hides one of Python's. It imports nothing
of Reflex. LeRobot logs an object that holds the numbers unrounded; whoever makes the log's records sees it before it
becomes text.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys

__all__ = ["main"]

MAX_LINE = 4096
"""A write to a pipe that is no longer than this is never torn."""


def main() -> None:
    descriptor, dropout, *arguments = sys.argv[1:]
    _tell_numbers(int(descriptor))
    sys.argv = ["lerobot-train", *arguments]
    from lerobot.scripts import lerobot_train

    if float(dropout):
        _drop_out(float(dropout))
    lerobot_train.main()


def _tell_numbers(descriptor: int) -> None:
    make = logging.getLogRecordFactory()

    def made(*given: object, **more: object) -> logging.LogRecord:
        record = make(*given, **more)
        tracked = record.msg
        if type(tracked).__name__ == "MetricsTracker":
            line = json.dumps(_numbers_of(tracked)).encode() + b"\n"
            if len(line) <= MAX_LINE:
                os.write(descriptor, line)
        return record

    logging.setLogRecordFactory(made)


def _numbers_of(tracked: object) -> dict[str, object]:
    """None stands for what is not finite, which JSON cannot say."""
    meters = {name: float(meter.avg) for name, meter in tracked.metrics.items()}  # type: ignore[attr-defined]
    finite = {name: value if math.isfinite(value) else None for name, value in meters.items()}
    return {"step": int(tracked.steps), "metrics": finite}  # type: ignore[attr-defined]


def _drop_out(dropout: float) -> None:
    """Of LoRA's layers: LeRobot hands every override on to PEFT, but has no argument for this one."""
    from lerobot.policies.pretrained import PreTrainedPolicy

    wrap = PreTrainedPolicy.wrap_with_peft

    def wrapped(policy, peft_config=None, peft_cli_overrides=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return wrap(policy, peft_config, {**(peft_cli_overrides or {}), "lora_dropout": dropout})

    PreTrainedPolicy.wrap_with_peft = wrapped


if __name__ == "__main__":
    main()
