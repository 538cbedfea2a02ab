"""The text of a robot schema: one that two readers could understand differently is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reflex.robot_schema.reading import MAX_BYTES, read_fields


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("-.5", -0.5), ("1.", 1.0), ("30", 30), ("010", 10), ("+7", 7), ("1:30", "1:30"),
        ("0x10", "0x10"),
        ("true", True), ("False", False), ("no", "no"), ("on", "on"), ("null", None), ("~", None), ("", None),
        ("2026-11-27", "2026-11-27"), ('"1"', "1"), ("1_000", "1_000"), (".nan", ".nan"), ("=", "="),
        ("[1, 2.5]", [1, 2.5]), ("\n  - a\n  - b", ["a", "b"]), ("&name 5", 5),
    ],
)  # fmt: skip
def test_yaml_is_read_by_its_version_1_2(text: str, value: object) -> None:
    read = read_fields(f"field: {text}")["field"]
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("form", ["json", "yaml", "mapping", "bytes", "with a mark"])
def test_names_become_snake_case_at_every_depth(form: str) -> None:
    given: dict[str, Any] = {
        "controlHz": 30,
        "safeStop": {"holdAfterMs": 200},
        "sources": [{"whatIt": "is"}],
        "so101Arm": 1,
    }
    text = json.dumps(given)
    forms: dict[str, Any] = {
        "json": text,
        "yaml": f"---\n{text}",
        "mapping": given,
        "bytes": text.encode(),
        "with a mark": b"\xef\xbb\xbf" + text.encode(),
    }
    assert read_fields(forms[form]) == {
        "control_hz": 30,
        "safe_stop": {"hold_after_ms": 200},
        "sources": [{"what_it": "is"}],
        "so101_arm": 1,
    }


@pytest.mark.parametrize(
    "given",
    [
        "a_b: 1\na_b: 2",
        "a_b: 1\naB: 2",
        '{"a_b": 1, "a_b": 1}',
        '{"x": [{"aB": 1, "a_b": 2}]}',
        "x:\n  - {aB: 1, a_b: 2}",
        {"aB": 1, "a_b": 2},
    ],
)
def test_a_field_that_is_given_twice_is_refused_however_it_is_spelt(given: Any) -> None:
    with pytest.raises(ValueError, match=r"^a_b: is given twice"):
        read_fields(given)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: &x 1\nb: *x", r"alias \*x is not read.* in line 2"),
        ("a: 1\n<<: {b: 2}", "merge key"),
        ("a: {b: {<<: {c: 1}}}", "merge key"),
        ("a: !!python/object/apply:os.system [ls]", "a tag .* in line 1"),
        ("a: !!binary aGk=", "a tag"),
        ("!!map {a: 1}", "a tag"),
        ("a: ! 1", "a tag"),
        ("a: 1\n---\nb: 1", "another document"),
        ("a: [1", "is no YAML"),
        ("\ta: 1", "is no YAML"),
        ("a: \0", "is no YAML"),
        ("a: @x", "is no YAML"),
        ("1: a", "1: the name of a field must be text"),
        ("? [1]\n: a", "the name of a field must be text"),
        ("", "must be an object"),
        ("- a: 1", "must be an object"),
        ("so101.yaml", "must be an object"),
        ("{a: 1}", "begins with { and is no JSON"),
        ('{"a": 1} {}', "begins with { and is no JSON: Extra data"),
        ("[" * 60_000, "nested too deeply"),
        ("- " * 30_000, "nested too deeply"),
        ('{"a":' * 10_000, "nested too deeply|no JSON"),
        ("a: " + "b" * MAX_BYTES, "at most 64 KiB"),
    ],
    ids=lambda value: repr(value[:25]),
)  # fmt: skip
def test_text_that_is_no_plain_object_is_refused_in_half_a_sentence(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        read_fields(text)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_utf_8_are_refused() -> None:
    with pytest.raises(ValueError, match="UTF-8"):
        read_fields(b"a: \xff")


def test_a_mapping_that_json_cannot_say_is_refused_by_its_field() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for value in (b"bytes", {1, 2}, circle, object()):
        with pytest.raises(ValueError, match=r"^robot: holds what no JSON can say"):
            read_fields({"name": "a", "robot": value})
    with pytest.raises(ValueError, match="at most 64 KiB"):
        read_fields({"name": "a" * MAX_BYTES})


@pytest.mark.parametrize("text", ["a: {}", '{{"a": {}}}'])
def test_a_number_beyond_all_floats_is_infinite_and_no_work(text: str) -> None:
    assert read_fields(text.format("9" * 60_000)) == {"a": float("inf")}
    assert read_fields(text.format("1" + "0" * 300)) == {"a": 10**300}
