"""The guide of diagnoses lists everything that one can name, as it is."""

from __future__ import annotations

import re

from docs.documents import REPOSITORY
from reflex_learning.diagnosis.kinds import KINDS


def test_the_table_of_what_is_named_is_that_of_the_program() -> None:
    text = (REPOSITORY / "docs" / "diagnose.md").read_text(encoding="utf-8").partition("## What it names")[2]
    rows = re.findall(r"^\| `([a-z-]+)` \| (compared|replayed|observed) \| (.*) \| (.*) \|$", text, re.MULTILINE)

    assert rows == [(kind.id, kind.means, kind.told, kind.fix) for kind in KINDS.values()]
