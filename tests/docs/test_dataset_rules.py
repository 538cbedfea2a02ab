"""The guide of datasets lists every rule of the validator as it is."""

from __future__ import annotations

import re

from docs.documents import REPOSITORY
from reflex_learning.validation.catalogue import ALL


def test_the_table_of_rules_is_that_of_the_validator() -> None:
    text = (REPOSITORY / "docs" / "datasets.md").read_text(encoding="utf-8").partition("## The rules")[2]
    rows = re.findall(r"^\| `([a-z-]+)` \| (error|warning) \| (.*) \| (.*) \|$", text, re.MULTILINE)

    assert rows == [(rule.id, rule.severity, rule.holds, rule.fix) for rule in ALL]
