"""`import reflex` stays cheap: a robot's computer pays for it at every start."""

from __future__ import annotations

import json
import subprocess
import sys

import reflex
from support.promise import Promise

LIMIT_S = 0.25
HEAVY = ("numpy", "fastapi", "onnx", "onnxruntime", "torch", "tensorrt", "pydantic", "httpx", "grpc", "PIL", "yaml",
         "cryptography", "websockets")  # fmt: skip
MEASURE = """
import json, sys, time
started = time.perf_counter()
import reflex
took_s = time.perf_counter() - started
print(json.dumps([took_s, sorted(sys.modules)]))
"""


def import_in_a_fresh_process() -> tuple[float, set[str]]:
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    took_s, modules = json.loads(done.stdout)
    return took_s, set(modules)


def test_importing_reflex_takes_under_a_quarter_second_and_pulls_nothing_heavy(promise: Promise) -> None:
    runs = [import_in_a_fresh_process() for _ in range(3)]
    promise("`import reflex` is quick", min(took_s for took_s, _ in runs), at_most=LIMIT_S)
    assert not runs[0][1] & set(HEAVY)
    assert not any(name.startswith(("reflex.", "reflex_")) for name in runs[0][1])


def test_every_exported_name_is_there_and_listed() -> None:
    assert dir(reflex) == sorted(reflex.__all__)
    for name in reflex.__all__:
        assert getattr(reflex, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(reflex, "Client")
