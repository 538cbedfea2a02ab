"""deploy/systemd/reflex.service: systemd takes it, and it stops a server no harder than the server needs."""

from __future__ import annotations

import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path
from typing import Final

import pytest

from docs.documents import REPOSITORY
from reflex_frontend.serve import DRAIN_S, MOVE_ON_S
from reflex_frontend.settings import Settings
from support.waiting import HANGS_S

UNIT: Final = REPOSITORY / "deploy" / "systemd" / "reflex.service"
PROGRAM: Final = "/opt/reflex/bin/reflex"
TRITON_ENDS_S: Final = 2.0
"""As docs/operations.md and serve.py say."""


@pytest.fixture(scope="module")
def unit() -> RawConfigParser:
    """Of a key that stands there twice the last value."""
    parser = RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT, encoding="utf-8")
    return parser


def test_systemd_takes_it(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return  # the tests below read it in any case
    (program := tmp_path / "reflex").write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    (copy := tmp_path / UNIT.name).write_text(UNIT.read_text(encoding="utf-8").replace(PROGRAM, str(program)))

    verified = subprocess.run(
        [analyze, "verify", "--man=no", copy], capture_output=True, text=True, check=False, timeout=HANGS_S
    )
    assert [line for line in verified.stderr.splitlines() if UNIT.name in line] == []


def test_its_sections_are_those_of_a_service(unit: RawConfigParser) -> None:
    assert unit.sections() == ["Unit", "Service", "Install"]
    assert unit["Service"]["ExecStart"] == f"{PROGRAM} serve"


def test_it_waits_until_a_server_has_drained_and_kills_no_triton_before(unit: RawConfigParser) -> None:
    assert float(unit["Service"]["TimeoutStopSec"]) > DRAIN_S + MOVE_ON_S + TRITON_ENDS_S + 5
    assert unit["Service"]["KillMode"] == "mixed"


def test_nothing_runs_as_root_or_writes_but_to_its_own_folders(unit: RawConfigParser) -> None:
    service = unit["Service"]

    assert (service["DynamicUser"], service["ProtectSystem"], service["ProtectHome"]) == ("yes", "strict", "yes")
    assert service["CapabilityBoundingSet"] == ""
    assert service["Environment"] == f"XDG_CACHE_HOME=/var/cache/{service['CacheDirectory']}"


def test_every_variable_that_it_names_is_a_setting() -> None:
    named = set(re.findall(r"REFLEX_[A-Z_]+(?==)", UNIT.read_text(encoding="utf-8")))

    assert named <= {f"REFLEX_{field.upper()}" for field in Settings.model_fields}
    assert named
