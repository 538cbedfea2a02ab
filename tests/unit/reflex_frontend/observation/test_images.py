"""Untrusted image bytes: right pixels or a 400, and no more memory than the pixels themselves."""

from __future__ import annotations

import base64
import contextlib
import io
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reflex.errors import InvalidRequestError
from reflex.wire import MAX_PIXELS
from reflex_frontend.observation.images import decode_image, decode_quickly


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> str:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return base64.b64encode(stream.getvalue()).decode()


def picture(mode: str = "RGB", size: tuple[int, int] = (5, 3)) -> Image.Image:
    gradient = np.arange(size[0] * size[1] * 3, dtype=np.uint8).reshape(size[1], size[0], 3)
    return Image.fromarray(gradient).convert(mode)


def code_of(source: Any) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        decode_image(source)
    assert caught.value.status == 400
    return caught.value.code


def png_claiming(width: int, height: int) -> str:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    ihdr = b"IHDR" + header
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + ihdr + struct.pack(">I", zlib.crc32(ihdr))
    return base64.b64encode(png).decode()


def test_a_png_gives_exactly_its_pixels() -> None:
    assert np.array_equal(decode_image(encoded(picture())), np.asarray(picture()))


@pytest.mark.parametrize("mode", ["L", "P", "1", "RGBA"])
def test_png_colour_types_become_rgb(mode: str) -> None:
    image = picture(mode)
    assert np.array_equal(decode_image(encoded(image)), np.asarray(image.convert("RGB")))


def test_alpha_is_dropped_and_not_blended() -> None:
    clear = Image.new("LA", (2, 2), (200, 0))
    assert (decode_image(encoded(clear)) == 200).all()


def test_16_bit_grey_keeps_its_upper_byte() -> None:
    deep = Image.fromarray(np.full((2, 2), 0xABCD, np.uint16))
    assert (decode_image(encoded(deep)) == 0xAB).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_colour_spaces_become_rgb(mode: str) -> None:
    image = Image.new("RGB", (16, 16), (200, 60, 20)).convert(mode)
    wanted = np.asarray(image.convert("RGB"), np.int16)
    assert np.abs(decode_image(encoded(image, "JPEG", quality=95)) - wanted).max() <= 8


def test_a_data_uri_and_wrapped_base64_are_taken() -> None:
    text = encoded(picture())
    wanted = decode_image(text)
    wrapped = "\r\n".join(text[start : start + 20] for start in range(0, len(text), 20))
    assert np.array_equal(decode_image(f"data:image/png;base64,{text}"), wanted)
    assert np.array_equal(decode_image(wrapped), wanted)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_other_formats_are_refused(kind: str) -> None:
    assert code_of(encoded(picture(), kind)) == "invalid_image"


@pytest.mark.parametrize("text", ["not base64!", "YWJj", "====", "é", "data:", "data:image/png;base64,", "/9j/", "   "])
def test_text_that_is_no_image_is_refused(text: str) -> None:
    assert code_of(text) == "invalid_image"


def test_too_many_pixels_are_refused_by_the_header_alone() -> None:
    tracemalloc.start()
    assert code_of(png_claiming(30_000, 30_000)) == "image_too_large"
    assert code_of(png_claiming(2**31 - 1, 2**31 - 1)) == "image_too_large"
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_jpeg_of_too_many_pixels_is_refused() -> None:
    jpeg = bytearray(base64.b64decode(encoded(picture(), "JPEG")))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 40_000, 40_000)
    assert code_of(base64.b64encode(jpeg).decode()) == "image_too_large"


def test_an_image_without_pixels_is_refused() -> None:
    assert code_of(png_claiming(0, 10)) == "invalid_image"


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded() -> None:
    jpeg = base64.b64decode(encoded(picture(), "JPEG", progressive=True))
    scan = jpeg[jpeg.index(b"\xff\xda") : -2]
    assert code_of(base64.b64encode(jpeg[:-2] + scan * 100 + jpeg[-2:]).decode()) == "invalid_image"


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_image_cut_anywhere_is_refused_or_decoded_and_never_breaks(kind: str) -> None:
    whole = base64.b64decode(encoded(picture(), kind))
    for length in range(len(whole)):
        with contextlib.suppress(InvalidRequestError):
            assert decode_image(base64.b64encode(whole[:length]).decode()).shape == (3, 5, 3)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["PNG", "JPEG"]), st.lists(st.tuples(st.integers(8, 400), st.integers(0, 255)), min_size=1))
def test_flipped_bytes_give_pixels_or_a_400(kind: str, flips: list[tuple[int, int]]) -> None:
    data = bytearray(base64.b64decode(encoded(picture(size=(20, 20)), kind)))
    for place, value in flips:
        data[place % len(data)] = value
    try:
        pixels = decode_image(base64.b64encode(data).decode())
    except InvalidRequestError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS


def test_an_array_gives_exactly_its_pixels() -> None:
    rows = np.asarray(picture()).tolist()
    assert np.array_equal(decode_image(rows), np.asarray(picture()))


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([], "invalid_image"),
        ([[]], "invalid_image"),
        ([[[]]], "invalid_image"),
        ([1, 2], "invalid_image"),
        ([[1, 2, 3]], "invalid_image"),
        ([[[1, 2]]], "invalid_image"),
        ([[[1, 2, 3, 4]]], "invalid_image"),
        ([[[1, 2, 3]], [[1, 2, 3], [1, 2, 3]]], "invalid_image"),
        ([[[1, 2, 3], [1, 2]]], "invalid_image"),
        ([[[1, 2, 3], 5]], "invalid_image"),
        ([[[1, 2, 3]], None], "invalid_image"),
        ([[[1, 2, 256]]], "invalid_image"),
        ([[[1, 2, -1]]], "invalid_image"),
    ],
)
def test_an_array_of_another_shape_or_range_is_refused(rows: list[Any], code: str) -> None:
    assert code_of(rows) == code


@pytest.mark.parametrize("odd", [1.5, "a", None, {}, [1], 2**70, -(2**63)])
@pytest.mark.parametrize("place", [0, 1], ids=["in the first pixel", "in the second"])
def test_an_array_of_anything_but_integers_is_refused(odd: Any, place: int) -> None:
    pixels: list[list[Any]] = [[1, 2, 3], [4, 5, 6]]
    pixels[place][1] = odd
    assert code_of([pixels]) in ("wrong_type", "invalid_image")


def test_one_long_string_in_an_array_does_not_multiply_by_the_number_of_pixels() -> None:
    rows: list[Any] = [[[1, 2, 3]] * 200, [["A" * 20_000, 2, 3]] + [[1, 2, 3]] * 199]
    tracemalloc.start()
    code = code_of(rows)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert code in ("wrong_type", "invalid_image")
    assert peak_bytes < 2_000_000


def test_a_small_jpeg_is_decoded_on_the_spot_and_like_any_other() -> None:
    text = encoded(picture(size=(224, 224)), "JPEG")
    pixels = decode_quickly(text)
    assert pixels is not None
    assert np.array_equal(pixels, decode_image(text))


@pytest.mark.parametrize(
    "source",
    [
        encoded(picture(size=(640, 480)), "JPEG"),
        encoded(picture(size=(224, 224)), "JPEG", progressive=True),
        encoded(picture("CMYK"), "JPEG"),
        encoded(picture()),
        "/9j/" + "A" * 200_000,
        [[[1, 2, 3]]],
    ],
    ids=["large", "progressive", "CMYK", "PNG", "long", "array"],
)
def test_everything_that_may_take_longer_is_left_for_a_thread(source: Any) -> None:
    assert decode_quickly(source) is None


@pytest.mark.parametrize("is_text", [True, False], ids=["base64", "bytes"])
def test_a_small_jpeg_that_is_broken_is_refused_on_the_spot(is_text: bool) -> None:
    broken = base64.b64decode(encoded(picture(size=(32, 32)), "JPEG"))[:100]
    with pytest.raises(InvalidRequestError):
        decode_quickly(base64.b64encode(broken).decode() if is_text else broken)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_bytes_of_a_file_give_what_its_base64_gives(kind: str) -> None:
    text = encoded(picture(size=(30, 20)), kind)
    assert np.array_equal(decode_image(base64.b64decode(text)), decode_image(text))


def test_the_bytes_of_a_small_jpeg_are_decoded_on_the_spot_and_of_others_in_a_thread() -> None:
    files = [base64.b64decode(encoded(picture(size=(224, 224)), kind)) for kind in ("JPEG", "PNG")]
    assert [decode_quickly(data) is None for data in (*files, b"\xff\xd8\xff" + bytes(200_000))] == [False, True, True]


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"/9j/AAAA", bytes(100)])
def test_bytes_that_are_no_jpeg_or_png_are_refused(data: bytes) -> None:
    assert code_of(data) == "invalid_image"


def test_pixels_are_taken_as_they_are() -> None:
    pixels = np.asarray(picture())
    assert decode_image(pixels) is pixels
    assert decode_quickly(pixels) is pixels


@pytest.mark.parametrize(
    ("pixels", "code"),
    [
        (np.zeros((2, 2, 3), np.float32), "invalid_image"),
        (np.zeros((2, 2, 3), np.int8), "invalid_image"),
        (np.zeros((2, 2), np.uint8), "invalid_image"),
        (np.zeros((2, 2, 4), np.uint8), "invalid_image"),
        (np.zeros((1, 2, 2, 3), np.uint8), "invalid_image"),
        (np.zeros((0, 2, 3), np.uint8), "invalid_image"),
        (np.broadcast_to(np.uint8(0), (2001, 2000, 3)), "image_too_large"),
    ],
)
def test_pixels_of_another_type_shape_or_size_are_refused(pixels: Any, code: str) -> None:
    assert code_of(pixels) == code
    with pytest.raises(InvalidRequestError):
        decode_quickly(pixels)
