"""One real server for all fuzzing: the nonce policy, which does no work, so that the time goes into requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reflex_bench.nonce_policy import write_nonce_policy
from support.hostile_served import Served, served
from support.nonce_server import one_process_each


@pytest.fixture(scope="package")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """No guard, so that the nonce in a 200 can be checked."""
    folder = tmp_path_factory.mktemp("nonce")
    write_nonce_policy(folder)
    one_process_each(folder)
    with served("--model-repository", str(folder), "--no-guard") as server:
        yield server
        server.recover()
        assert server.client.get("/health").status_code == 200
