"""For every test: nothing is reported to anybody."""

from __future__ import annotations

import os

# Before a test imports onnxruntime, which otherwise reports its use to its maker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

pytest_plugins = ["support.promise"]
