"""Text of others moves no terminal."""

from __future__ import annotations

import json
import sys

import pytest

from reflex.console import print_json, reported_errors, say, show
from reflex.errors import TransportError
from reflex.printable import escaped_in_json, printable, printable_lines

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\u202e\u2028\ud800\x7f"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Ümlaut 日本 ▁▂ 'quoted' \\", "plain, Ümlaut 日本 ▁▂ 'quoted' \\"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202eabc", r"\u202eabc"),
        ("\U000e0041", r"\U000e0041"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_is_not_visible_becomes_its_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_every_character_there_is_comes_out_visible() -> None:
    everything = "".join(map(chr, (*range(0x12000), *range(0xE0000, 0xE0200), sys.maxunicode)))
    assert printable(everything).isprintable()
    assert printable_lines(everything).replace("\n", "").isprintable()
    printable(everything).encode()


def test_lines_stay_lines() -> None:
    assert printable_lines("one\n\x1btwo\n") == "one\n\\x1btwo\n"


def test_json_stays_the_same_value_without_what_a_terminal_obeys() -> None:
    text = json.dumps({"a": EVIL, "ü": "日本"}, ensure_ascii=False)
    assert json.loads(escaped_in_json(text)) == json.loads(text)
    assert "日本" in escaped_in_json(text)
    assert not {"\x1b", "\x9b", "\u202e", "\u2028", "\x7f"} & set(escaped_in_json(text))


def test_json_of_every_character_there_is_comes_out_visible_and_the_same() -> None:
    everything = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x12000), *range(0xE0000, 0xE0200))))
    text = escaped_in_json(json.dumps({"a": everything}, ensure_ascii=False, indent=1))
    assert text.replace("\n", "").isprintable()
    assert json.loads(text) == {"a": everything}


def test_nothing_that_a_command_prints_moves_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = EVIL.replace("\ud800", "")
    say(f"reflex: {evil}")
    show(evil)
    print_json({"message": evil})
    with pytest.raises(BaseException), reported_errors(as_json=False):  # noqa: B017, PT011 - typer's way to end
        raise TransportError(evil)
    printed = "".join(capsys.readouterr())
    assert "owned" in printed
    assert printed.replace("\n", "").isprintable()
