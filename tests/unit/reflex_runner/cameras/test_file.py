"""A file or a folder is a camera: its pictures come in order and in time, and begin anew."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from reflex.errors import SetupError
from reflex_runner.cameras import file
from reflex_runner.cameras.build import build_camera
from reflex_runner.cameras.file import FileSettings, FileSource
from reflex_runner.errors import HardwareError
from support.waiting import wait_until

FAST = 1000.0


def write_pictures(folder: Path, *values: int) -> None:
    folder.mkdir(exist_ok=True)
    for number, value in enumerate(values):
        Image.fromarray(np.full((4, 6, 3), value, np.uint8)).save(folder / f"{number:03}.png")


def write_video(path: Path, *values: int) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for value in values:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), value, np.uint8), "rgb24")))
        container.mux(stream.encode())


def first(source: FileSource, count: int) -> list[int]:
    """The middle value of so many pictures."""
    source.open()
    seen: list[int] = []
    while len(seen) < count:
        picture = source.read()
        if picture is not None:
            seen.append(int(picture.pixels[2, 3, 0]))
    source.close()
    return seen


def test_the_pictures_of_a_folder_come_in_order_and_begin_anew(tmp_path: Path) -> None:
    write_pictures(tmp_path / "seen", 10, 20, 30)
    (tmp_path / "seen" / "notes.txt").write_text("no picture")

    assert first(FileSource(tmp_path / "seen", FileSettings(path="seen", fps=FAST)), 7) == [10, 20, 30, 10, 20, 30, 10]


def test_a_video_begins_anew_after_its_end(tmp_path: Path) -> None:
    write_video(tmp_path / "seen.mp4", 40, 200)
    values = first(FileSource(tmp_path / "seen.mp4", FileSettings(path="seen.mp4", fps=FAST)), 5)

    assert [value > 100 for value in values] == [False, True, False, True, False]


def test_pictures_are_brought_to_the_size(tmp_path: Path) -> None:
    write_pictures(tmp_path, 10)
    source = FileSource(tmp_path, FileSettings(path=".", fps=FAST, width=12, height=8))
    source.open()
    picture = source.read()

    assert picture is not None
    assert picture.pixels.shape == (8, 12, 3)


def test_they_come_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path, 10, 20)
    now = [50.0]
    played = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr("reflex_runner.cameras.file.time", played)
    source = FileSource(tmp_path, FileSettings(path=".", fps=4))
    source.open()
    dates = [picture.captured_s for picture in (source.read() for _ in range(13)) if picture is not None]

    assert dates == pytest.approx([50.0, 50.25, 50.5, 50.75, 51.0])


def test_a_single_picture_is_never_frozen(tmp_path: Path) -> None:
    write_pictures(tmp_path, 10)
    camera = build_camera("file", {"path": "000.png", "fps": FAST}, name="front", folder=tmp_path)
    camera.start()
    wait_until(lambda: (camera.rate_hz or 0) > 0, "two pictures have come")
    camera.stop()

    assert camera.latest() is not None


@pytest.mark.parametrize(
    ("name", "said"), [("bad.png", r"cannot read .*bad\.png"), ("bad.mp4", r"cannot read .* as a video")]
)
def test_a_file_that_is_none_is_said(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"this is no picture, and no video either")
    source = FileSource(tmp_path / name, FileSettings(path=name))
    source.open()

    with pytest.raises(HardwareError, match=said):
        source.read()


def test_a_folder_without_pictures_and_a_video_that_nothing_reads_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SetupError, match=r"cameras\.front\.path: no pictures lie in .*; their names end in \.bmp"):
        build_camera("file", {"path": "."}, name="front", folder=tmp_path)
    write_video(tmp_path / "seen.mp4", 1)
    monkeypatch.setattr(file, "_av", lambda: None)
    with pytest.raises(SetupError, match=r"a video needs the package av, which is not installed; run: .*\[datasets\]"):
        build_camera("file", {"path": "seen.mp4"}, name="front", folder=tmp_path)
