"""The promise of SECURITY.md: what Reflex builds on may report its use, and is told not to before it can."""

from __future__ import annotations

import os
import subprocess
import sys

from support.waiting import PROCESS_S

PROGRAM = """
import os, sys
from importlib.abc import MetaPathFinder

class Watch(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"))
        return None

sys.meta_path.insert(0, Watch())
import reflex_export.exporting.pipeline, reflex_export.checking.verification
assert "onnxruntime" in sys.modules
assert "huggingface_hub" not in sys.modules, "who exports a folder waits for what asks the hub"
"""


def test_onnxruntime_is_told_to_report_nothing_before_it_is_imported() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=PROCESS_S
    )
    assert told.stdout.split() == ["1"]
