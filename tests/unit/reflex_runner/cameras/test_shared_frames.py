"""A picture in shared memory is read whole or not at all, whatever its writer does meanwhile."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reflex_runner.cameras import shared_frames
from reflex_runner.cameras.shared_frames import HEADER_BYTES, FrameReader, FrameWriter
from reflex_runner.errors import HardwareError
from support.leftovers import SHARED_MEMORY, leaves_no_descriptor
from support.waiting import HANGS_S, wait_until

NUMBERS = itertools.count()


@pytest.fixture
def name() -> Iterator[str]:
    made = f"reflex-test-{os.getpid()}-{next(NUMBERS)}"
    with leaves_no_descriptor():
        yield made
    (SHARED_MEMORY / made).unlink(missing_ok=True)


def filled(value: int, width: int = 6, height: int = 4) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((height, width, 3), value, np.uint8)


def test_what_is_written_is_read_once_with_its_date(name: str) -> None:
    with FrameWriter(name, 6, 4) as writer:
        reader = FrameReader(name)
        assert reader.newer() is None
        writer.write(filled(7), captured_s=12.5)
        found = reader.newer()
        assert found is not None
        assert (found[0].shape, int(found[0].min()), int(found[0].max()), found[1]) == ((4, 6, 3), 7, 7, 12.5)
        assert reader.newer() is None
        reader.close()


def test_a_picture_that_is_being_written_is_not_delivered(name: str) -> None:
    with FrameWriter(name, 6, 4) as writer:
        reader = FrameReader(name)
        writer.write(filled(1))
        writer._numbers[0] += 1
        writer._pixels[:2] = 2
        assert reader.newer() is None
        writer._pixels[:] = 2
        writer._numbers[0] += 1
        found = reader.newer()
        assert found is not None
        assert set(found[0].ravel().tolist()) == {2}
        reader.close()


def test_a_copy_that_a_writer_has_overtaken_is_not_delivered(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader looks; then half of the next picture is written; the reader copies; then the other half."""
    with FrameWriter(name, 6, 4) as writer:
        writer.write(filled(1))
        reader = FrameReader(name)
        half, rest = iter([True]), iter([True])

        def between() -> None:
            if next(half, False):
                writer._numbers[0] += 1
                writer._pixels[:2] = 2
            elif next(rest, False):
                writer._pixels[:] = 2
                writer._numbers[0] += 1

        monkeypatch.setattr(shared_frames, "_fence", between)
        found = reader.newer()
        reader.close()

    assert found is not None
    assert set(found[0].ravel().tolist()) == {2}


WRITER = """
import sys, time
import numpy as np
from reflex_runner.cameras.shared_frames import FrameWriter
writer = FrameWriter(sys.argv[1], 320, 240)
pictures = [np.full((240, 320, 3), value, np.uint8) for value in range(256)]
number = 0
while True:
    writer.write(pictures[number % 256], captured_s=number / 1e3)
    number += 1
    time.sleep(0.0001)
"""


def test_no_picture_of_a_writer_in_haste_is_torn(name: str) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, name])
    try:
        wait_until(
            lambda: (SHARED_MEMORY / name).exists() and (SHARED_MEMORY / name).read_bytes()[24:25] > b"\0", "it writes"
        )
        reader = FrameReader(name)
        until_s, whole = time.monotonic() + HANGS_S, 0
        while whole < 300:
            assert time.monotonic() < until_s
            found = reader.newer()
            if found is not None:
                assert found[0].min() == found[0].max() == round(found[1] * 1e3) % 256
                whole += 1
        reader.close()
    finally:
        writer.kill()
        writer.wait()


def test_a_writer_that_was_killed_in_the_middle_is_taken_over_from(name: str) -> None:
    first = FrameWriter(name, 6, 4)
    first.write(filled(1))
    first._numbers[0] += 1
    first.close(unlink=False)
    reader = FrameReader(name)
    assert reader.newer() is None
    with FrameWriter(name, 6, 4) as writer:
        writer.write(filled(2))
        found = reader.newer()
        assert found is not None
        assert int(found[0][0, 0, 0]) == 2
        assert reader.is_current()
    assert not reader.is_current()
    reader.close()


@pytest.mark.parametrize("size", [(4, 6), (60, 40)], ids=["as many bytes", "more"])
def test_another_size_is_another_segment_and_the_old_one_stays_readable(name: str, size: tuple[int, int]) -> None:
    first = FrameWriter(name, 6, 4)
    first.write(filled(1))
    reader = FrameReader(name)
    with FrameWriter(name, *size):
        assert not reader.is_current()
        found = reader.newer()
        assert found is not None
        assert found[0].shape == (4, 6, 3)
    reader.close()
    first.close()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "finds 0 bytes in the shared memory"),
        (b"x" * 200, "finds something else in the shared memory"),
        (shared_frames.FIXED.pack(b"REFLEXSH", 2, 6, 4, 3) + bytes(200), "version 2"),
        (shared_frames.FIXED.pack(b"REFLEXSH", 1, 0, 4, 3) + bytes(200), "finds a picture of 0 x 4 x 3"),
        (shared_frames.FIXED.pack(b"REFLEXSH", 1, 2**31, 2**31, 3) + bytes(200), "finds a picture of 2147483648"),
        (shared_frames.FIXED.pack(b"REFLEXSH", 1, 6, 4, 1) + bytes(200), "finds a picture of 6 x 4 x 1"),
        (shared_frames.FIXED.pack(b"REFLEXSH", 1, 600, 400, 3) + bytes(200), "too few for 600 x 400"),
    ],
)
def test_what_is_no_picture_is_said(name: str, content: bytes, said: str) -> None:
    (SHARED_MEMORY / name).write_bytes(content)

    with pytest.raises(HardwareError, match=said):
        FrameReader(name)


def test_a_date_of_another_clock_is_said(name: str) -> None:
    with FrameWriter(name, 6, 4) as writer:
        writer.write(filled(1), captured_s=time.monotonic() + 1e6)
        reader = FrameReader(name)
        with pytest.raises(HardwareError, match="a picture of the future"):
            reader.newer()
        reader.close()


def test_the_layout_is_that_of_its_description(name: str) -> None:
    """As a program in another language writes it."""
    with FrameWriter(name, 6, 4) as writer:
        writer.write(filled(9), captured_s=2.0)
        memory = Path(SHARED_MEMORY / name).read_bytes()

    assert memory[:24] == b"REFLEXSH" + bytes([1, 0, 0, 0, 6, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0])
    assert memory[24:40] == (2).to_bytes(8, "little") + (2_000_000_000).to_bytes(8, "little")
    assert memory[HEADER_BYTES:] == bytes([9]) * 72
