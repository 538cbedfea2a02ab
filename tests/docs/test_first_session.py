"""docs/first-session.md and docs/sdk.md: every command and every block runs, in the reader's order, on real servers.

The walk takes a dozen seconds: `make whole-runs` runs it.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import reflex
import reflex.sdk
from support.outside.first_session import SDK_PAGE, Walked, walking

BESIDES = ("api_key", "convex_url", "backend_url")
FUNCTIONS = (*reflex.sdk.__all__, "evaluate")


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    with walking(Path(sys.executable).parent, tmp_path_factory.mktemp("first_session")) as walked:
        yield walked


@pytest.mark.slow
def test_the_guide_leads_to_a_session_that_moved_its_robot(walked: Walked) -> None:
    found = re.search(r"^(sess_\w+) has ended; (\d+) of (\d+) steps moved$", walked.printed, re.MULTILINE)

    assert found, walked.printed
    assert found[1] == walked.ids["SESSION"]
    assert 0 < int(found[2]) < int(found[3]), "it moved, and not before it was promoted"


@pytest.mark.slow
def test_what_the_guide_did_stands_in_receipts_of_which_a_changed_one_is_refused(walked: Walked) -> None:
    lines = (walked.folder / "receipts.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["kind"] for line in lines[1:]]

    ours = [kind for kind in kinds if kind.startswith("session_")]
    assert ours == ["session_authorized", "session_promoted", "session_closed"]
    assert kinds[0] == "key_created"


@pytest.mark.slow
def test_the_blocks_of_the_sdk_page_run_as_printed(walked: Walked) -> None:
    with walked.robot_alive():
        printed = walked.run(
            "python", "-c", walked.sdk_page() + "\nprint(session_id)", cwd=walked.folder / "examples"
        ).split()

    sessions = json.loads(walked.run("reflex", "sessions", "list", "--json"))["sessions"]
    [ours] = [session for session in sessions if session["id"] == printed[-1]]
    assert ours["status"] == "closed"
    assert ours["promotedAt"] is not None
    assert printed[0].startswith("rcpt_")


def test_the_sdk_page_has_every_function_with_its_signature() -> None:
    rows = re.findall(r"^\| `(\w+)(\(.*\))` \|", SDK_PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert dict(rows) == {name: _signature(name) for name in FUNCTIONS}
    assert len(rows) == len(FUNCTIONS)


def _signature(name: str) -> str:
    """Without types, and without what every function takes."""
    taken = inspect.signature(getattr(reflex, name)).parameters.values()
    ours = [each.replace(annotation=inspect.Parameter.empty) for each in taken if each.name not in BESIDES]
    return str(inspect.Signature(ours))
