"""A line of a command is an observation, or one sentence says what is wrong in it; nothing else comes of any bytes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reflex.connector import Observation
from reflex_runner.connectors.commands.answers import parse_answer, parse_observation, refuse_error, refuse_unknown
from reflex_runner.errors import HardwareError

NOW_S = 1000.0
PNG = b"\x89PNG\r\n\x1a\nrest"
PIXELS = {"rgb": base64.b64encode(bytes(range(12))).decode(), "width": 2, "height": 2}


def observed(line: bytes, *, state_dim: int | None = None, folder: Path = Path("/nowhere")) -> Observation:
    answer = parse_answer(line, "observe", None)
    refuse_error(answer, "observe")
    return parse_observation(
        answer, "observe", asked_s=NOW_S - 0.5, now_s=NOW_S, state_dim=state_dim, folder=folder
    )  # fmt: skip


def refusal(line: bytes, **how: Any) -> str:
    with pytest.raises(HardwareError) as refused:
        observed(line, **how)
    return str(refused.value)


def with_front(picture: object) -> bytes:
    return json.dumps({"state": [1, 2], "cameras": {"front": picture}}).encode()


def test_an_observation_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "wrist.png").write_bytes(PNG)
    cameras = {"front": {**PIXELS, "captured_s": 999.9}, "wrist": {"path": "wrist.png"}}
    seen = observed(
        json.dumps({"state": [1, 2.5], "cameras": cameras, "task": "pick", "captured_s": 999.75, "seq": 3}).encode(),
        folder=tmp_path,
    )

    assert seen.state.dtype == np.float32
    assert (seen.state.tolist(), seen.task, seen.captured_s) == ([1, 2.5], "pick", 999.75)
    front, wrist = seen.cameras["front"], seen.cameras["wrist"]
    assert isinstance(front.image, np.ndarray)
    assert (front.image.shape, front.image[1, 1].tolist(), front.captured_s) == ((2, 2, 3), [9, 10, 11], 999.9)
    assert (wrist.image, wrist.captured_s) == (PNG, 999.75)


def test_what_says_no_date_is_as_old_as_the_question() -> None:
    assert observed(b'{"state": [1]}').captured_s == NOW_S - 0.5


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "printed no JSON: ''"),
        (
            b'{"state": [NaN, 0]}',
            "printed no JSON: '{\"state\": [NaN, 0]}'; everything but the answer belongs on stderr",
        ),
        (b'{"state": [-Infinity]}', "printed no JSON"),
        (b"[" * 100_000, "printed no JSON: '[[[["),
        (b"\0\0", "printed no JSON: '\\x00\\x00'"),
        (b"x\x1b[2J", "printed no JSON: 'x\\x1b[2J'"),
        (b'{"state": [' + b"9" * 5_000 + b"]}", "printed no JSON"),
        (b"\xff", "printed bytes that are no UTF-8: '\\xff'"),
        (b"[1, 2]", "printed JSON that is no object: '[1, 2]'"),
        (b"7", "printed JSON that is no object"),
        (b'{"state": [1e999, 0]}', 'answered a "state" that is not finite'),
        (b'{"state": [1e39, 0]}', 'answered a "state" that is not finite'),
        (b'{"state": [' + b"9" * 400 + b"]}", 'answered a "state" that is not finite'),
        (b'{"state": ["1", "2"]}', 'answered "state" ["1", "2"]; it is a list of numbers, one for each joint'),
        (b'{"state": [true]}', 'answered "state" [true]; it is a list of numbers'),
        (b'{"state": [[1, 2]]}', 'answered "state" [[1, 2]]; it is a list of numbers'),
        (b'{"state": []}', 'answered "state" []; it is a list of numbers'),
        (b'{"state": 5}', 'answered "state" 5; it is a list of numbers'),
        (b'{"cameras": {}}', 'answered "state" null; it is a list of numbers'),
        (b'{"sate": [1]}', "answered a field \"sate\"; did you mean 'state'?"),
        (b'{"state": [1], "zzz": 1}', 'answered a field "zzz"; known are state, cameras, task, captured_s, seq'),
        (b'{"state": [1], "task": 7}', 'answered "task" 7, which is no text'),
        (b'{"state": [1], "captured_s": 1000.1}', 'answered "captured_s" 1000.1; it is the moment of the measurement'),
        (b'{"state": [1], "captured_s": 1764000000.5}', "time.monotonic() of Python), which shows 1000.000"),
        (b'{"state": [1], "captured_s": -1}', 'answered "captured_s" -1'),
        (b'{"state": [1], "captured_s": "now"}', 'answered "captured_s" "now"'),
        (b'{"state": [1], "captured_s": ' + b"9" * 400 + b"}", 'answered "captured_s" a number without end'),
        (b'{"state": [1], "cameras": []}', 'answered "cameras" []; it is an object'),
        (b'{"error": "joint 3\\u001b is hot"}', "The observe command says: joint 3\\x1b is hot"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(line: bytes, said: str) -> None:
    assert said in refusal(line)


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        ("front.jpg", 'answered the camera "front" as "front.jpg"; it is an object'),
        ({}, 'a picture is {"path"}, {"base64"}, or {"rgb", "width", "height"}'),
        ({"path": "x", "base64": "x"}, 'a picture is {"path"}'),
        ({"rgb": "AAAA", "width": 1}, 'a picture is {"path"}'),
        ({"path": "nothing.jpg"}, "nothing.jpg cannot be read: No such file or directory"),
        ({"path": "."}, " is no file"),
        ({"path": "a\0b"}, '"path" is no text'),
        ({"path": 7}, '"path" is no text'),
        ({"base64": "aGVsbG8="}, "neither a JPEG nor a PNG"),
        ({"base64": "%%%"}, '"base64" is no base64'),
        ({"base64": "\u00e9"}, '"base64" is no base64'),
        ({**PIXELS, "width": 3}, '"rgb" holds 12 bytes instead of the 18 of height x width x 3'),
        ({**PIXELS, "width": 0}, '"width" and "height" are whole numbers from 1 to 8192'),
        ({**PIXELS, "height": True}, '"width" and "height" are whole numbers'),
        ({**PIXELS, "height": 10**30}, '"width" and "height" are whole numbers'),
        ({**PIXELS, "captured_s": 2000}, 'answered "captured_s" 2000'),
    ],
)
def test_what_is_wrong_with_a_picture_is_said(picture: object, said: str, tmp_path: Path) -> None:
    assert said in refusal(with_front(picture), folder=tmp_path)


def test_a_state_keeps_its_length() -> None:
    assert 'answered a "state" of 1 numbers instead of 2' in refusal(b'{"state": [1]}', state_dim=2)


@pytest.mark.parametrize("answered", ["null", "3", '"4"', "4.5"])
def test_an_answer_repeats_the_number_of_its_request(answered: str) -> None:
    assert parse_answer(b'{"ok": true, "seq": 4}', "apply", 4) == {"ok": True, "seq": 4}
    with pytest.raises(HardwareError, match=r'The apply command answered with "seq" .* instead of 4'):
        parse_answer(f'{{"ok": true, "seq": {answered}}}'.encode(), "apply", 4)


@pytest.mark.parametrize(
    ("answer", "said"),
    [({"ok": False}, 'answered "ok" false; it is true, or say'), ({"okay": True}, "did you mean 'ok'?")],
)
def test_what_was_done_is_said_with_ok(answer: dict[str, Any], said: str) -> None:
    with pytest.raises(HardwareError, match="The apply command") as refused:
        refuse_unknown(answer, "apply")
    assert said in str(refused.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(["path", "rgb"]), inner),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.binary() | st.fixed_dictionaries({"state": JSON}, optional={"cameras": JSON, "task": JSON, "captured_s": JSON,
       "seq": JSON, "error": JSON}).map(lambda answer: json.dumps(answer).encode()))  # fmt: skip
@settings(max_examples=60)
def test_any_bytes_are_an_observation_or_refused(line: bytes) -> None:
    try:
        seen = observed(line)
    except HardwareError as exc:
        said = str(exc)
    else:
        said = "The observe command "
        assert seen.state.ndim == 1
        assert np.isfinite(seen.state).all()
        assert 0 <= seen.captured_s <= NOW_S + 0.001
    assert said.startswith("The observe command ")
    assert len(said) < 1_000
