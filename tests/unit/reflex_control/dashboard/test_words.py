"""What others wrote is shown as the text that it is, and moments in UTC."""

from __future__ import annotations

import pytest

from reflex_control.dashboard import words
from reflex_control.dashboard.rendering import ENVIRONMENT

NOON_MS = 1_780_000_000_000
NOON = "2026-05-28T20:26:40.000Z"


@pytest.mark.parametrize(
    "text", ["<script>", "\u202egnp.exe", "a\u2066b", "\x1b[2J", "\x00", "'\"&", "\ud800", "\u200b"]
)
def test_nothing_that_a_template_writes_out_is_markup_or_unseen(text: str) -> None:
    written = ENVIRONMENT.from_string("<p>{{ text }}</p>{{ text|name }}").render(text=text)
    inside = written.removeprefix("<p>").removesuffix("</bdi>").replace("</p><bdi>", "")

    assert inside.isprintable()
    assert not set(inside) & set("<>'\"")


def test_letters_of_every_language_stay_as_they_are() -> None:
    assert words.name("\u05d6\u05e8\u05d5\u05e2 1") == "<bdi>\u05d6\u05e8\u05d5\u05e2 1</bdi>"


def test_a_moment_is_a_time_element_in_utc() -> None:
    assert words.moment(NOON) == f'<time datetime="{NOON}">2026-05-28 20:26:40 UTC</time>'
    assert "time" not in words.moment(None)


@pytest.mark.parametrize(
    ("later_ms", "said"),
    [(0, "0 s ago"), (59_999, "59 s ago"), (60_000, "1 min ago"), (7_200_000, "2 h ago"), (200_000_000, "2 d ago"),
     (-1_000, "in 1 s"), (-120_000, "in 2 min")],
)  # fmt: skip
def test_how_long_ago_is_said_in_one_unit(later_ms: int, said: str) -> None:
    assert words.age(NOON, NOON_MS + later_ms) == said
    assert words.age(None, NOON_MS) == "never"


def test_a_state_has_words_beside_its_colour_and_one_that_is_not_known_is_text() -> None:
    assert words.badge("apply_actions") == '<span class="badge moves">moves the robot</span>'
    assert words.badge("<b>") == '<span class="badge over">&lt;b&gt;</span>'


@pytest.mark.parametrize(
    ("seconds", "said"), [(-3, "0 s"), (0.9, "0 s"), (59.9, "59 s"), (3_600, "1 h"), (1e300, "1000 d")]
)
def test_how_long_is_said_in_one_unit(seconds: float, said: str) -> None:
    assert words.lasting(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 bytes"), (999, "999 bytes"), (1_250, "1.2 kB"), (2**53, "9007.2 TB")]
)
def test_how_much_is_said_in_one_unit(count: int, said: str) -> None:
    assert words.bytes_of(count) == said
