"""Images from hostile hands: each is refused with 400 or gives exactly its pixels, in little memory.

`REFLEX_FUZZ_IMAGES` is how many broken files are made; file number n is always the same one.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import psutil
import pytest
from PIL import Image, UnidentifiedImageError

from reflex.errors import ServiceError
from reflex_frontend.observation.images import decode_image
from support.bodies import valid_body
from support.hostile_served import Served
from support.images import PNG_MAGIC, Pixels, as_base64, encoded, photo, png_chunk, png_file, with_repeated_scans
from support.misuse.images_broken import BASES, base_file, pillow_pixels, spoilt
from support.promise import Promise

pytestmark = pytest.mark.slow

IMAGES: Final = int(os.environ.get("REFLEX_FUZZ_IMAGES", "500"))
BATCH: Final = 500
SAMPLE: Final = 200
MAX_EXTRA_BYTES: Final = 128 * 1024 * 1024
MAX_ATTACK_MIB: Final = 512
MOST_IN_FLIGHT_BYTES: Final = 2 * 1024**3
"""Sixteen places in flight, in each a picture of 12 MB: its pixels, the message, the copies of Triton and its stub."""
DEADLINE: Final = {"X-Reflex-Deadline-Ms": "10000"}
PILLOW_ERRORS: Final = (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError)


def decoded(data: bytes) -> Pixels | str:
    """The pixels, or the code of the refusal with 400; any other exception would be a 500."""
    try:
        return decode_image(as_base64(data))
    except ServiceError as exc:
        return exc.code if exc.status == 400 else f"{exc.status} {exc.code}"


def is_right(name: str, data: bytes, result: Pixels | str) -> bool:
    """A PNG has checksums: what passes must show the original. A JPEG has none: it must show what Pillow sees in it."""
    if isinstance(result, str):
        return result in ("invalid_image", "image_too_large")
    if name.startswith("png"):
        return np.array_equal(result, pillow_pixels(base_file(name)))
    try:
        return np.array_equal(result, pillow_pixels(data))
    except PILLOW_ERRORS:
        return False


@pytest.mark.parametrize("name", BASES)
def test_every_kind_of_jpeg_and_png_gives_the_pixels_that_pillow_sees(name: str) -> None:
    result = decoded(base_file(name))
    assert not isinstance(result, str)
    assert result.dtype == np.uint8
    assert np.array_equal(result, pillow_pixels(base_file(name)))


def test_sixteen_bit_colour_keeps_the_upper_byte() -> None:
    samples = np.arange(4 * 5 * 3, dtype=np.uint16).reshape(4, 5, 3) * 1000
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in samples)
    assert np.array_equal(decoded(png_file(5, 4, bit_depth=16, rows=rows)), samples >> 8)


@pytest.mark.parametrize(
    "name", ["jpeg", "jpeg progressive", "jpeg cmyk", "png", "png palette", "png one bit", "png stored"]
)
def test_an_image_truncated_at_any_byte_is_refused(name: str) -> None:
    whole = base_file(name)
    for end in range(len(whole)):
        assert decoded(whole[:end]) == "invalid_image", f"cut at {end} of {len(whole)}"


def test_a_png_with_any_one_bit_flipped_is_refused_or_right() -> None:
    whole, pixels = base_file("png smooth"), pillow_pixels(base_file("png smooth"))
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        result = decoded(bytes(data))
        assert isinstance(result, str) or np.array_equal(result, pixels), f"bit {bit}"


@pytest.mark.parametrize("first", range(0, IMAGES, BATCH))
def test_a_broken_image_is_refused_or_shows_its_own_pixels(first: int) -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(first, min(first + BATCH, IMAGES)):
        name, data = spoilt(seed)
        result = decoded(data)
        outcomes[result if isinstance(result, str) else "pixels"] += 1
        assert is_right(name, data, result), f"file {seed}, a broken {name}"
    assert outcomes["pixels"] > BATCH // 20, f"hardly any file survives its damage: {outcomes}"
    assert outcomes["invalid_image"] > BATCH // 20


@pytest.mark.parametrize(
    "kind", ["GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "TGA", "JPEG2000", "DIB", "PCX", "SGI", "PDF"]
)
def test_another_format_is_refused(kind: str) -> None:
    assert decoded(encoded(photo(), kind)) == "invalid_image"


NO_IMAGES: Final = {
    "nothing": b"",
    "one byte": b"\xff",
    "the beginning of a JPEG": b"\xff\xd8\xff",
    "an empty JPEG": b"\xff\xd8\xff\xd9",
    "the beginning of a PNG": PNG_MAGIC,
    "a PNG of zeros": PNG_MAGIC + bytes(100),
    "SVG": b"<svg/>",
    "a JPEG behind a GIF's name": b"GIF89a" + encoded(photo()),
    "a PNG in a program": b"MZ" + encoded(photo(), "PNG"),
    "a JPEG without its beginning": encoded(photo())[2:],
    "a JPEG in a PDF": b"%PDF-1.7\n" + encoded(photo()),
}


@pytest.mark.parametrize("name", NO_IMAGES)
def test_what_does_not_begin_as_a_jpeg_or_png_is_refused(name: str) -> None:
    assert decoded(NO_IMAGES[name]) == "invalid_image"


@pytest.mark.parametrize("tail", [b"PK\x03\x04 a zip", b"<script>", b"\x00" * 1000, encoded(photo(9))])
@pytest.mark.parametrize("name", ["jpeg", "png"])
def test_a_polyglot_shows_its_first_image_or_is_refused(name: str, tail: bytes) -> None:
    result = decoded(base_file(name) + tail)
    assert isinstance(result, str) or np.array_equal(result, pillow_pixels(base_file(name)))


@pytest.mark.parametrize(("width", "height"), [(0, 0), (0, 8), (8, 0), (2**31, 1), (2**32 - 1, 2**32 - 1)])
def test_a_png_of_impossible_size_is_refused(width: int, height: int) -> None:
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    data = PNG_MAGIC + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b"")) + png_chunk(b"IEND", b"")
    assert decoded(data) in ("invalid_image", "image_too_large")


@pytest.mark.parametrize(("height", "width"), [(0, 8), (8, 0), (65500, 65500), (2001, 2000)])
def test_a_jpeg_of_impossible_size_is_refused(height: int, width: int) -> None:
    data = bytearray(encoded(photo()))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    assert decoded(bytes(data)) in ("invalid_image", "image_too_large")


def test_four_megapixels_are_taken_and_one_row_more_is_too_large() -> None:
    assert not isinstance(decoded(png_file(2000, 2000)), str)
    assert decoded(png_file(2000, 2001)) == "image_too_large"
    assert not isinstance(decoded(encoded(np.zeros((2000, 2000, 3), np.uint8))), str)
    assert decoded(encoded(np.zeros((2001, 2000, 3), np.uint8))) == "image_too_large"


def _png_with(chunk: bytes) -> bytes:
    return png_file(100, 100, extra=chunk)


def _inflating(kind: bytes) -> bytes:
    return png_chunk(kind, b"a\x00\x00" + zlib.compress(bytes(50_000_000), 9))


BOMBS: Final[dict[str, Callable[[], bytes]]] = {
    "160 KiB of PNG for 1296 megapixels": lambda: png_file(36_000, 36_000, bit_depth=1, colour_type=0),
    "a PNG with more rows than it says": lambda: png_file(100, 100, rows=bytes(300_000_000)),
    "a PNG with a second, larger header": lambda: _png_with(
        png_chunk(b"IHDR", (30_000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00")
    ),
    "a PNG with compressed text": lambda: _png_with(_inflating(b"zTXt") * 4),
    "a PNG with a compressed colour profile": lambda: _png_with(_inflating(b"iCCP")),
    "a PNG with 400,000 chunks": lambda: _png_with(png_chunk(b"tEXt", b"a\x00b") * 400_000),
    "a JPEG with 4,000 scans": lambda: with_repeated_scans(encoded(photo(), progressive=True), 4_000),
    "a JPEG with as many scans as are taken": lambda: with_repeated_scans(
        encoded(photo(0, 1000, 1000), progressive=True), 50
    ),
    "a JPEG with a million comments": lambda: b"\xff\xd8" + b"\xff\xfe\x00\x02" * 1_000_000 + encoded(photo())[2:],
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_the_server_little_memory_and_time(target: Served, promise: Promise, name: str) -> None:
    body = valid_body(image_b64=as_base64(BOMBS[name]()))
    target.act(valid_body(image_b64=as_base64(png_file(2000, 2000))), DEADLINE)
    with _extra_memory(target) as extra, ThreadPoolExecutor(4) as clients:
        started = time.monotonic()
        answers = list(clients.map(lambda _: target.act(body, DEADLINE), range(4)))
        took_s = time.monotonic() - started
    assert {answer.status_code for answer in answers} <= {200, 400}
    assert extra() < MAX_EXTRA_BYTES
    promise("four bombs of an image at once are answered", took_s, at_most=4)


def test_many_large_images_at_once_stay_within_the_memory_of_one_clients_attack(
    target: Served, promise: Promise
) -> None:
    """How many are decoded before the model takes them depends on how busy the machine is; the most is by design."""
    body = valid_body(image_b64=as_base64(png_file(2000, 2000)))
    target.act(body, DEADLINE)
    with _extra_memory(target) as extra, ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda _: target.act(body, DEADLINE), range(48)))
    assert {answer.status_code for answer in answers} <= {200, 503, 504}
    assert extra() < MOST_IN_FLIGHT_BYTES
    promise("MiB that 16 clients with images of 4 megapixels cost", extra() / 2**20, at_most=MAX_ATTACK_MIB, unit="")


def test_the_server_agrees_with_the_decoder_and_stays_small(target: Served) -> None:
    with _extra_memory(target) as extra:
        for seed in range(SAMPLE):
            _, data = spoilt(seed)
            result = decoded(data)
            answer = target.act(valid_body(image_b64=as_base64(data)), DEADLINE)
            if isinstance(result, str):
                assert (answer.status_code, answer.json()["error"]) == (400, result), f"file {seed}"
            else:
                red = float(np.float32(result[0, 0, 0]) / np.float32(255))
                assert answer.json()["actions"][0][2] == pytest.approx(red, abs=1e-6), f"file {seed}"
    assert extra() < MAX_EXTRA_BYTES


@contextlib.contextmanager
def _extra_memory(server: Served) -> Iterator[Callable[[], int]]:
    """Gives the bytes by which the server and its Triton grew at most since the beginning, by their resident sets."""
    processes = [psutil.Process(server.process.process.pid), *server.process.children()]

    def resident_bytes() -> int:
        return sum(process.memory_info().rss for process in processes)

    before = peak = resident_bytes()
    is_over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not is_over.wait(0.01):
            peak = max(peak, resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: peak - before
    finally:
        is_over.set()
        watcher.join()
