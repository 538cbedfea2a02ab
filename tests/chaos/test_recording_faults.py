"""A recording that cannot be written, or is killed while it is: no robot notices, and what was written is readable.

REFLEX_CHAOS_RECORDING_KILLS sets how often the server is killed while it writes (2).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import io
import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest
from PIL import Image

from reflex.traces.reader import TraceReader
from reflex.traces.schema import RequestRecord
from reflex_bench.http_load import http_request
from reflex_bench.nonce_policy import write_nonce_policy
from reflex_bench.paired import Target, in_turns, ratio_of_medians
from support.load import Answer, LoadClient, closed_loop, run
from support.nonce import act_body
from support.outside.disks import limit_file_size, read_only, small_disk
from support.promise import Promise
from support.server import ServerProcess, running_server
from support.waiting import eventually, wait_until

pytestmark = pytest.mark.slow

DISK_KIB = 1024
IMAGES_THAT_FILL_IT = 400
"""Each takes at least 4 KiB, compressed."""
ROUNDS = 120
PACE_HZ = 100.0
MOST = 1.05
KILLS = int(os.environ.get("REFLEX_CHAOS_RECORDING_KILLS", "2"))
WRITTEN_AFTER_S = 0.5


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_nonce_policy(folder)
    return folder


@contextlib.contextmanager
def serving(repository: Path, *options: str) -> Iterator[ServerProcess]:
    with running_server("--model-repository", str(repository), "--no-guard", *options) as process:
        yield process


@pytest.fixture(scope="module")
def healthy(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The same server with nothing in the way of its recording."""
    with serving(repository, "--record", str(tmp_path_factory.mktemp("healthy"))) as process:
        yield process


def noisy_image(number: int) -> str:
    """A red picture whose green and blue no compression makes smaller."""
    pixels = np.random.default_rng(number).integers(0, 256, (48, 48, 3), np.uint8)
    pixels[..., 0] = 255
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    return base64.b64encode(encoded.getvalue()).decode()


def fill(server: ServerProcess) -> None:
    """More than the disk holds; every answer is right."""

    async def scenario() -> None:
        async with LoadClient(server.port) as client:
            for number in range(IMAGES_THAT_FILL_IT):
                answer = await client.act(image_b64=noisy_image(number), episode_id=f"e{number % 3}")
                assert answer.is_right, str(answer)

    run(scenario())


def assert_says_so_and_serves_as_fast(
    server: ServerProcess, healthy: ServerProcess, reason: str, promise: Promise
) -> None:
    wait_until(lambda: "recording" in server.health().json(), "/health says that nothing is recorded")
    health = server.health()
    assert (health.status_code, health.json()["status"]) == (200, "ready")
    assert health.json()["recording"] == f"recording stopped: {reason}"
    request = http_request("POST", "/act", act_body(1.0))
    targets = [Target("stopped", server.port, request), Target("healthy", healthy.port, request)]
    seconds = run(in_turns(targets, ROUNDS, PACE_HZ))
    ratio = ratio_of_medians(seconds["stopped"], seconds["healthy"])
    promise("a server whose recording stopped is as quick as one that records", ratio.low, at_most=MOST, unit="x")
    assert server.log.count("recording stopped:") == 1


def assert_every_line_is_readable(folder: Path, *, torn: int = 0) -> list[RequestRecord]:
    reader = TraceReader(folder)
    records = [entry.record for entry in reader]
    assert reader.losses.torn_lines <= torn, reader.losses
    assert (reader.losses.damaged_lines, reader.losses.damaged_blocks) == (0, 0), reader.losses
    return [record for record in records if isinstance(record, RequestRecord)]


def test_a_full_disk_stops_the_recording_and_no_robot(
    repository: Path, healthy: ServerProcess, tmp_path: Path, promise: Promise
) -> None:
    with small_disk(tmp_path, DISK_KIB) as is_small:
        folder = tmp_path / "recording"
        with serving(repository, "--record", str(folder), "--record-images", "full") as server:
            if not is_small:
                limit_file_size(server.process.pid, DISK_KIB)
            fill(server)
            reason = os.strerror(errno.ENOSPC if is_small else errno.EFBIG)
            assert_says_so_and_serves_as_fast(server, healthy, reason, promise)
        records = assert_every_line_is_readable(folder)
    assert records[0].record_seq == 1
    assert 20 < len(records) < IMAGES_THAT_FILL_IT


def test_a_directory_that_cannot_be_written_stops_the_recording_and_no_robot(
    repository: Path, healthy: ServerProcess, tmp_path: Path, promise: Promise
) -> None:
    with read_only(tmp_path), serving(repository, "--record", str(tmp_path)) as server:
        fill(server)
        reason = os.strerror(errno.EACCES if os.getuid() else errno.EROFS)
        assert_says_so_and_serves_as_fast(server, healthy, reason, promise)


def test_kill_9_in_the_middle_of_a_write_costs_at_most_the_last_line(
    repository: Path, healthy: ServerProcess, tmp_path: Path, promise: Promise
) -> None:
    """The frontends share one Triton, so that each is there soon."""
    where = ("--triton", healthy.triton_address())
    for kill in range(KILLS):
        folder = tmp_path / str(kill)
        options = ("--record", str(folder), "--record-images", "full", "--record-by", ("hour", "episode")[kill % 2])
        with serving(repository, *where, *options) as server:
            answers, killed_at = run(loaded_until_killed(server, 200 + 37 * kill))
        assert len(answers) > 50
        recorded = {record.record_seq for record in assert_every_line_is_readable(folder, torn=1)}
        assert recorded
        ages_s = [killed_at - answer.ended_at for answer in answers if seq_of(answer) not in recorded]
        promise("kill -9 loses no record that is half a second old", max(ages_s, default=0.0), at_most=WRITTEN_AFTER_S)


def seq_of(answer: Answer) -> int:
    return int(orjson.loads(answer.body)["record_seq"])


async def loaded_until_killed(server: ServerProcess, after: int) -> tuple[list[Answer], float]:
    """Every answer until the frontend was killed after so many, all of them right, and when it was."""
    answers: list[Answer] = []
    numbers = itertools.count()

    async with LoadClient(server.port) as client:

        async def one() -> None:
            number = next(numbers)
            answer = await client.act(image_b64=noisy_image(number % 50), episode_id=f"e{number % 5}")
            assert answer.is_right, str(answer)
            answers.append(answer)

        async def robots() -> None:
            with contextlib.suppress(ConnectionError):
                await closed_loop(4, 60.0, one)

        asking = asyncio.create_task(robots())
        await eventually(lambda: len(answers) >= after or asking.done(), "the load is on")
        killed_at = time.monotonic()
        server.process.send_signal(signal.SIGKILL)
        await asking
    return answers, killed_at
