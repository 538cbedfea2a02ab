"""schemathesis with all its checks and phases against the running server: it keeps what its /openapi.json says.

`REFLEX_SCHEMATHESIS_EXAMPLES` is how many examples each operation gets, `REFLEX_SCHEMATHESIS_SEED` makes others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from support.hostile_served import Served

pytestmark = pytest.mark.slow

EXAMPLES: Final = os.environ.get("REFLEX_SCHEMATHESIS_EXAMPLES", "10")
SEED: Final = os.environ.get("REFLEX_SCHEMATHESIS_SEED", "1")
TESTS: Final = Path(__file__).parents[1]
ALL_PHASES: Final = "examples,coverage,fuzzing,stateful"
FEW_PHASES: Final = "examples,fuzzing,stateful"
"""In `make test`: to cover every value of every field takes longer than all the others; `make whole-runs` does."""


@pytest.mark.parametrize("phases", [FEW_PHASES, pytest.param(ALL_PHASES, marks=pytest.mark.slow)])
def test_the_server_keeps_every_promise_of_its_openapi_document(target: Served, tmp_path: Path, phases: str) -> None:
    program = str(Path(sys.executable).with_name("schemathesis"))
    command = [program, "run", f"{target.process.base_url}/openapi.json", "--checks", "all", "--phases", phases,
               "--max-examples", EXAMPLES, "--seed", SEED, "--generation-database", "none", "--no-color",
               "--continue-on-failure"]  # fmt: skip
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "fuzz.schemathesis_hooks", "PYTHONPATH": str(TESTS)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    paths = target.client.get("/openapi.json").json()["paths"]
    assert f"Tested: {sum(map(len, paths.values()))}" in run.stdout


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_the_description_is_served(target: Served, path: str) -> None:
    assert target.client.get(path).status_code == 200
