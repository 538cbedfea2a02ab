"""The control plane killed amid writes: what it acknowledged is there, and its receipts are one whole chain.

`REFLEX_CHAOS_CONTROL_KILLS` is how often.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Final

import httpx
import pytest

from reflex.signed.receipts import verify_lines
from support.outside.control_plane import ControlProcess, prepared_store, running_control
from support.waiting import wait_until

pytestmark = pytest.mark.slow

KILLS: Final = int(os.environ.get("REFLEX_CHAOS_CONTROL_KILLS", "3"))
WRITERS: Final = 8
ACKNOWLEDGED: Final = 20
"""So many writes are acknowledged before each kill."""


def write_until_it_dies(control: ControlProcess, key: str, acknowledged: list[str]) -> None:
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=control.base_url, headers=headers, verify=False, timeout=60) as client:
        while True:
            try:
                answer = client.post("/v1/keys", json={"name": "written", "scopes": ["read"]})
            except httpx.TransportError:
                return
            assert answer.status_code == 201, answer.text
            acknowledged.append(answer.json()["id"])


def kill_amid_writes(control: ControlProcess, key: str, acknowledged: list[str]) -> None:
    wanted = len(acknowledged) + ACKNOWLEDGED
    writers = [threading.Thread(target=write_until_it_dies, args=(control, key, acknowledged)) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    wait_until(lambda: len(acknowledged) >= wanted, "writes are acknowledged")
    control.stop(signal.SIGKILL)
    for writer in writers:
        writer.join()


def test_no_acknowledged_write_is_lost_and_the_chain_is_whole(tmp_path: Path) -> None:
    data = tmp_path / "data"
    acknowledged: list[str] = []
    with prepared_store(data) as (ours, _):
        key = ours.admin().secret
    for _ in range(KILLS):
        with running_control(data, "--rate-limit", "1000000") as control:
            kill_amid_writes(control, key, acknowledged)
        with closing(sqlite3.connect(data / "control.db")) as store:
            assert store.execute("PRAGMA quick_check").fetchone() == ("ok",)

    with running_control(data) as control:
        there = {each["id"] for each in control.ask("GET", "/v1/keys", key).json()["keys"]}
        exported = control.ask("GET", "/v1/receipts/export", key).content.splitlines()
    verdict = verify_lines(exported)
    assert set(acknowledged) <= there
    assert (verdict.is_whole, verdict.fault) == (True, None)
    assert verdict.receipts == len(there) - 1  # the first key was written past the API
