"""The changelog says what a user notices: it is held against the version, and against everything that users can name.

`tests/snapshots/surface.txt` holds that surface, and the digest of the changelog that told of it. One that changes
without a word in the changelog is red, and `make snapshots` refuses to write it down.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from typing import Final

from typer.core import TyperGroup

import reflex
import reflex.client
from docs.commands import built_once
from docs.documents import REPOSITORY
from reflex.cli import app
from reflex.errors import STATUS_OF
from reflex.wire import ANSWER_HEADERS, READ_HEADERS, ActBody, ActResult, HealthReport
from reflex_frontend.observing.metrics import Metrics
from reflex_frontend.policy.policy import load_policy
from reflex_frontend.settings import Settings

CHANGELOG: Final = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
SURFACE: Final = REPOSITORY / "tests" / "snapshots" / "surface.txt"
HEADING: Final = re.compile(r"^## \[([^\]]+)\](?: - (\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)


def surface() -> str:
    """A line for each thing that a user's program, script or dashboard may name."""
    return "".join(f"{line}\n" for line in sorted(set(_surface())))


def _surface() -> Iterator[str]:
    yield from (f"python reflex.{name}" for name in reflex.__all__)
    yield from (f"python reflex.client.{name}" for name in reflex.client.__all__)
    yield from _commands(built_once(app), "reflex")
    yield from (f"setting REFLEX_{name.upper()}" for name in Settings.model_fields)
    yield from (f"error {status} {code}" for code, status in STATUS_OF.items())
    yield from (f"header {name}" for name in (*READ_HEADERS, *ANSWER_HEADERS))
    for where, kind in (("/act asks", ActBody), ("/act answers", ActResult), ("/health says", HealthReport)):
        yield from (f"field {where} {name}" for name in kind.__annotations__)
    registry = Metrics.of_one(load_policy(REPOSITORY / "model_repository", None), None).registry
    yield from (f"metric {metric.name}" for metric in registry.collect())


def _commands(command: object, path: str) -> Iterator[str]:
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from _commands(child, f"{path} {name}")
        return
    yield f"command {path}"
    for option in getattr(command, "params", ()):
        yield from (f"option {path} {name}" for name in (*option.opts, *option.secondary_opts))


def digest() -> str:
    return hashlib.sha256(CHANGELOG.encode()).hexdigest()[:16]


def recorded() -> tuple[str, str]:
    """The digest of the changelog, and the surface that it told of."""
    first, _, rest = SURFACE.read_text(encoding="utf-8").partition("\n")
    return first.removeprefix("changelog "), rest


def test_what_users_can_name_has_not_changed_without_a_word_in_the_changelog() -> None:
    now = surface()
    told, known = recorded()
    if os.environ.get("REFLEX_WRITE_SNAPSHOTS") and now != known:
        assert told != digest(), "the public surface changed: say so in CHANGELOG.md first, then `make snapshots`"
        SURFACE.write_text(f"changelog {digest()}\n{now}", encoding="utf-8")
        known = now

    assert now.splitlines() == known.splitlines(), "say what changed in CHANGELOG.md, then run `make snapshots`"


def test_the_newest_heading_is_that_of_the_version() -> None:
    headings = HEADING.findall(CHANGELOG)
    newest, date = headings[0]
    if ".dev" in reflex.__version__:
        assert (newest, date) == ("Unreleased", "")
    else:
        assert newest == reflex.__version__
        assert date


def test_every_version_has_its_heading_once_and_all_but_the_newest_their_date() -> None:
    headings = HEADING.findall(CHANGELOG)

    assert len({version for version, _ in headings}) == len(headings)
    assert all(date for version, date in headings if version != "Unreleased")


def test_every_command_is_told_of() -> None:
    commands = [line.removeprefix("command ") for line in surface().splitlines() if line.startswith("command ")]

    assert [command for command in commands if f"`{command}" not in CHANGELOG] == []
