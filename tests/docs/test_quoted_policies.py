"""The documents quote policies by their hash, `NAME@HASH`: each is that of the policy as it is made today."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from docs.documents import REPOSITORY, documents
from reflex.policy_config import read_policy_config
from reflex_bench.wandering_policy import write_wandering_policy

QUOTED: Final = re.compile(r"\b([\w-]+)@([0-9a-f]{12})\b")


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of each policy that a document may show: what comes with Reflex, and what a line of the documents makes."""
    made = tmp_path_factory.mktemp("models")
    write_wandering_policy(made)
    shipped = REPOSITORY / "model_repository"
    folders = (shipped / "demo", shipped / "pick_up_the_cube", made / "wandering")
    return {folder.name: read_policy_config(folder).model_version for folder in folders}


def quotes_of(document: Path) -> list[tuple[int, str, str]]:
    """Line, name and the whole quote."""
    lines = enumerate(document.read_text(encoding="utf-8").splitlines(), 1)
    return [(number, found[1], found[0]) for number, line in lines for found in QUOTED.finditer(line)]


def test_every_policy_that_is_quoted_is_the_one_that_is_made_today(versions: dict[str, str]) -> None:
    quotes = [(document.name, *quote) for document in documents() for quote in quotes_of(document)]
    other = [f"{name}:{line}: {quote}" for name, line, policy, quote in quotes if versions.get(policy) != quote]

    assert {policy for _, _, policy, _ in quotes} == versions.keys()
    assert not other, f"quoted, and not {versions}: run its example again, or name a policy that can be made here"
