"""The bytes of /act: what is refused, with which code, and that nothing at all breaks the parser."""

from __future__ import annotations

import contextlib
import json
import uuid
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reflex.errors import InvalidRequestError, ServiceError
from reflex.wire import MAX_BODY_BYTES, MAX_SEED
from reflex_frontend.observation.request import (
    ActRequest,
    parse_act,
    parse_deadline_ms,
    parse_large_act,
    random_uuid,
)

GOOD: dict[str, Any] = {"instruction": "pick up the red cup", "state": [0.1, 2, -3.5]}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = (
    "instruction", "state", "image", "image_b64", "images", "episode_id", "request_id", "seed", "executed_steps",
    "inference_delay_steps", "prev_actions", "other",
)  # fmt: skip


def body(**changes: Any) -> bytes:
    return orjson.dumps({**GOOD, **changes}, option=orjson.OPT_PASSTHROUGH_DATETIME)


def refusal(raw: bytes) -> ServiceError:
    with pytest.raises(InvalidRequestError) as caught:
        parse_act(raw)
    return caught.value


def test_a_complete_request_is_carried_over_field_by_field() -> None:
    request = parse_act(body(image_b64="abc", episode_id="ep 1", request_id="r-1", seed=7))
    assert (request.instruction, request.state) == ("pick up the red cup", (0.1, 2, -3.5))
    assert (request.image, request.images) == ("abc", None)
    assert (request.episode_id, request.request_id, request.resendable, request.seed) == ("ep 1", "r-1", True, 7)


def test_null_means_absent_for_every_optional_field() -> None:
    names = ("image", "image_b64", "images", "episode_id", "request_id", "seed")
    request = parse_act(body(**dict.fromkeys(names)))
    assert (request.image, request.images, request.episode_id, request.seed) == (None, None, None, None)


def test_a_request_without_an_id_gets_one_of_its_own_and_cannot_be_resent() -> None:
    first, second = parse_act(body()), parse_act(body())
    assert len(first.request_id) == 36
    assert first.request_id != second.request_id
    assert not first.resendable


def test_unknown_fields_are_ignored() -> None:
    assert parse_act(body(gripper_hint=[1, {"a": None}])).state == (0.1, 2, -3.5)


@pytest.mark.parametrize("empty", [None, ""])
@pytest.mark.parametrize("name", ["image", "image_b64"])
def test_null_and_the_empty_string_mean_no_image(name: str, empty: str | None) -> None:
    assert parse_act(body(**{name: empty})).image is None


def test_image_takes_base64_as_clients_in_the_field_send_it() -> None:
    assert parse_act(body(image="abc", image_b64="")).image == "abc"


def test_image_takes_a_raw_array() -> None:
    assert parse_act(body(image=[[[1, 2, 3]]])).image == [[[1, 2, 3]]]


def test_cameras_without_an_image_are_left_out() -> None:
    assert parse_act(body(images={"base": "abc", "wrist": "", "side": None})).images == {"base": "abc"}


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b"[1", "invalid_json"),
        (b"[" * 5000, "invalid_json"),
        (b'{"instruction": "\xc3\x28", "state": []}', "invalid_json"),
        (b"{'instruction': 1}", "invalid_json"),
        (b'{"a": NaN', "invalid_json"),
        (b'{"state": [NaN]}', "not_finite"),
        (b'{"state": [Infinity]}', "not_finite"),
        (b'{"state": [-Infinity]}', "not_finite"),
        (b'{"state": [1e999]}', "not_finite"),
        (b"null", "wrong_type"),
        (b"[]", "wrong_type"),
        (b'"text"', "wrong_type"),
        (b"3", "wrong_type"),
        (b"{}", "missing_field"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused_with_its_code(raw: bytes, code: str) -> None:
    assert refusal(raw).code == code


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps(GOOD).encode("utf-16"),
        json.dumps(GOOD).encode("utf-32"),
        b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
        b'{"instruction": "\\ud800", "state": [1]}',
        b'{"\\udfff": 1}',
    ],
    ids=["utf-16", "utf-32", "byte order mark", "lone surrogate", "lone surrogate in a key"],
)
def test_text_that_is_not_utf_8_is_called_invalid_json_and_not_a_matter_of_finite_numbers(raw: bytes) -> None:
    assert refusal(raw).code == "invalid_json"


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"instruction": None}, "missing_field", "instruction"),
        ({"instruction": 3}, "wrong_type", "instruction"),
        ({"instruction": ["a"]}, "wrong_type", "instruction"),
        ({"state": None}, "missing_field", "state"),
        ({"state": "1,2"}, "wrong_type", "state"),
        ({"state": {"x": 1}}, "wrong_type", "state"),
        ({"state": [1, "2"]}, "wrong_type", "state"),
        ({"state": [True]}, "wrong_type", "state"),
        ({"state": [None]}, "wrong_type", "state"),
        ({"state": [[1]]}, "wrong_type", "state"),
        ({"state": [3.5e38]}, "not_finite", "state"),
        ({"state": [-1e300]}, "not_finite", "state"),
        ({"image": 5}, "wrong_type", "image"),
        ({"image": {"a": 1}}, "wrong_type", "image"),
        ({"image": True}, "wrong_type", "image"),
        ({"image_b64": [[[1, 2, 3]]]}, "wrong_type", "image_b64"),
        ({"image_b64": 1}, "wrong_type", "image_b64"),
        ({"images": "abc"}, "wrong_type", "images"),
        ({"images": ["abc"]}, "wrong_type", "images"),
        ({"images": {"base": [[[1, 2, 3]]]}}, "wrong_type", "images"),
        ({"images": {"base": "a"}, "image": "b"}, "wrong_type", "images"),
        ({"image_b64": "a", "image": "b"}, "wrong_type", "images"),
        ({"images": {}, "image_b64": "b"}, "wrong_type", "images"),
        ({"episode_id": ""}, "wrong_type", "episode_id"),
        ({"episode_id": "a\n"}, "wrong_type", "episode_id"),
        ({"episode_id": "a" * 257}, "wrong_type", "episode_id"),
        ({"episode_id": 4}, "wrong_type", "episode_id"),
        ({"request_id": ""}, "wrong_type", "request_id"),
        ({"request_id": "\x00"}, "wrong_type", "request_id"),
        ({"seed": -1}, "wrong_type", "seed"),
        ({"seed": MAX_SEED + 1}, "wrong_type", "seed"),
        ({"seed": 1.5}, "wrong_type", "seed"),
        ({"seed": True}, "wrong_type", "seed"),
        ({"seed": "1"}, "wrong_type", "seed"),
    ],
)
def test_each_field_is_refused_by_name_with_its_code(changes: dict[str, Any], code: str, field: str) -> None:
    error = refusal(body(**changes))
    assert (error.code, error.context["field"]) == (code, field)


def test_512_characters_are_an_instruction_and_513_are_too_long() -> None:
    assert len(parse_act(body(instruction="é" * 512)).instruction) == 512
    error = refusal(body(instruction="é" * 513))
    assert (error.code, error.status, error.context["limit"]) == ("instruction_too_long", 422, 512)


def test_a_refusal_carries_the_clients_own_request_id() -> None:
    assert refusal(body(request_id="mine", state=None)).request_id == "mine"


def test_a_refusal_says_which_value_of_the_state_is_wrong() -> None:
    assert refusal(body(state=[1, 2, "three"])).context["index"] == 2


def outcome(raw: bytes) -> ActRequest | ServiceError:
    try:
        return parse_act(raw)
    except ServiceError as exc:
        return exc


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_request_or_a_4xx(raw: bytes) -> None:
    result = outcome(raw)
    assert isinstance(result, ActRequest) or 400 <= result.status < 500


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES, max_size=9))
def test_any_json_gives_a_request_within_its_bounds_or_a_4xx_that_echoes_nothing(fields: dict[str, Any]) -> None:
    result = outcome(json.dumps(fields).encode())
    if isinstance(result, ServiceError):
        assert 400 <= result.status < 500
        assert len(result.message) < 150
        assert set(result.context) <= {"field", "index", "limit"}
    else:
        assert len(result.instruction) <= 512
        assert all(abs(value) <= 3.41e38 for value in result.state)
        assert result.image is None or result.images is None


def test_the_default_deadline_is_a_second() -> None:
    assert parse_deadline_ms(None) == 1000.0


@pytest.mark.parametrize(("header", "value"), [("1", 1.0), ("10000", 10000.0), ("0250", 250.0), ("99.5", 99.5)])
def test_a_deadline_from_1_to_10000_ms_is_taken(header: str, value: float) -> None:
    assert parse_deadline_ms(header) == value


@pytest.mark.parametrize(
    "header",
    ["", "0", "0.5", "10001", "-5", "+5", "1e3", "nan", "inf", "1_0", " 5", "1.2.3", ".", "five", "٣", "²", "9" * 400],
)
def test_any_other_deadline_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_deadline_ms(header)
    assert caught.value.code == "wrong_type"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=20))
def test_no_header_gives_a_deadline_out_of_bounds(header: str) -> None:
    with contextlib.suppress(InvalidRequestError):
        assert 1 <= parse_deadline_ms(header) <= 10_000


def test_a_body_may_have_eight_mebibytes() -> None:
    assert MAX_BODY_BYTES == 8_388_608


@pytest.mark.parametrize("name", ["episode_id", "request_id"])
def test_an_id_has_1_to_256_characters(name: str) -> None:
    for value in ("a", "é" * 256):
        assert getattr(parse_act(body(**{name: value})), name) == value
    for value in ("", "é" * 257):
        assert refusal(body(**{name: value})).context["field"] == name


def test_a_seed_is_an_integer_from_0_to_2_to_the_63_less_1() -> None:
    for value in (0, 1, 2**63 - 1):
        assert parse_act(body(seed=value)).seed == value
    assert type(parse_act(body(seed=7.0)).seed) is int
    for refused in (-1, 2**63, 7.5):
        assert refusal(body(seed=refused)).context["field"] == "seed"


def test_a_state_is_within_a_thousand_million_either_way() -> None:
    assert parse_act(body(state=[1e9, -1e9, 10**9])).state == (1e9, -1e9, 10**9)
    for value in (1e9 + 1, -1e9 - 1):
        assert (refusal(body(state=[0.0, value])).code, refusal(body(state=[0.0, value])).context["index"]) == (
            "not_finite", 1,
        )  # fmt: skip


def test_an_id_of_our_own_is_a_random_uuid_of_version_4() -> None:
    drawn = [uuid.UUID(random_uuid()) for _ in range(300)]
    assert {(one.version, one.variant) for one in drawn} == {(4, uuid.RFC_4122)}
    assert len(set(drawn)) == 300
    assert {one.hex[0] for one in drawn} == set("0123456789abcdef")
    assert str(drawn[0]) == str(uuid.UUID(drawn[0].hex))


def test_a_long_body_may_hold_a_million_numbers_and_no_more() -> None:
    most = body(image_b64="")
    most = body(image_b64="," * (1_000_000 - most.count(b",")))
    assert parse_large_act(most).instruction == GOOD["instruction"]
    with pytest.raises(ServiceError) as caught:
        parse_large_act(most.replace(b'"pick', b'",pick'))
    assert (caught.value.code, caught.value.context) == ("image_too_large", {"limit": 1_000_000})


@pytest.mark.parametrize(("length", "code"), [(65_536, "not_finite"), (65_537, "invalid_json")])
def test_up_to_64_kibibytes_a_nan_is_told_from_broken_json(length: int, code: str) -> None:
    raw = b'{"state": [NaN]}'
    assert refusal(raw + b" " * (length - len(raw))).code == code
