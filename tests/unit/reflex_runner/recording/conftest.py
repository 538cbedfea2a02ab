"""Here whoever writes is a thread: formats are tried by the dozen, and a process of their own takes a second each."""

from __future__ import annotations

import pytest

from support.run_recording.writers import start_thread


@pytest.fixture(autouse=True)
def writer_is_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reflex_runner.recording.part.start_process", start_thread)
