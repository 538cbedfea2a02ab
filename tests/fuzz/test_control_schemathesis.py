"""schemathesis against the running control plane: it keeps what its /openapi.json says, and fails at nothing.

`REFLEX_CONTROL_SCHEMATHESIS_EXAMPLES` is how many examples each operation gets.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from support.outside.control_plane import prepared_store, running_control

pytestmark = pytest.mark.slow

EXAMPLES: Final = os.environ.get("REFLEX_CONTROL_SCHEMATHESIS_EXAMPLES", "5")
TESTS: Final = Path(__file__).parents[1]
UNTRIED: Final = r"/v1/keys/\{id\}/|/v1/events"
"""It learns the id of its own key from the list of keys, and would take it back; and a stream of events has no end."""
CHECKS: Final = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method"
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "asked", [("--include-method", "GET"), pytest.param((), marks=pytest.mark.slow)], ids=["GET", "all"]
)
def test_the_control_plane_keeps_every_promise_of_its_openapi_document(tmp_path: Path, asked: tuple[str, ...]) -> None:
    program = str(Path(sys.executable).with_name("schemathesis"))
    with prepared_store(tmp_path / "data") as (ours, _):
        key = ours.admin().secret
    with running_control(tmp_path / "data", "--rate-limit", "1000000", "--public-rate-limit", "1000000") as control:
        command = [program, "run", f"{control.base_url}/openapi.json", "--checks", CHECKS,
                   "--phases", "coverage,fuzzing",
                   "--max-examples", EXAMPLES, "--seed", "1", "--generation-database", "none", "--no-color",
                   "--continue-on-failure", "--exclude-path-regex", UNTRIED, *asked]  # fmt: skip
        environment = {
            **os.environ,
            "SCHEMATHESIS_HOOKS": "fuzz.control_hooks",
            "PYTHONPATH": str(TESTS),
            "CONTROL_KEY": key,
        }
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout[-6000:] + run.stderr
        assert "Authentication failed" not in run.stdout
        assert "Traceback" not in control.log
