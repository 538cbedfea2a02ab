"""One policy of two cannot be loaded at the start: the other one serves, and /health says which file is to blame."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from reflex.model_repository import model_file
from support.hostile import PATIENT
from support.nonce import act_body, is_right
from support.server import running_server
from support.two_policies import admin_environment, write_policies
from support.waiting import HANGS_S


@pytest.mark.slow
def test_a_policy_that_cannot_be_loaded_does_not_take_the_other_with_it(tmp_path: Path) -> None:
    repository = write_policies(tmp_path)
    model_file(repository, "second_encoder").write_bytes(b"no graph")
    options = ("--policy-a", "first", "--policy-b", "second", "--split", "0", "--admin-port", "0", "--no-guard")
    with running_server("--model-repository", str(repository), *options, env=admin_environment(tmp_path)) as server:
        answer = httpx.post(
            f"{server.base_url}/act", content=act_body(7.0, episode_id="e"), timeout=HANGS_S, headers=PATIENT
        )
        assert answer.status_code == 200
        assert is_right(answer.content, 7.0)
        assert answer.headers["x-reflex-policy-slot"] == "a"
        assert answer.headers["x-reflex-routing-degraded"] == "true"
        slots = server.health().json()["slots"]
        assert slots["a"]["status"] == "ready"
        assert slots["b"]["status"] == "warming"
        assert "second_encoder: " in slots["b"]["reason"]
        assert str(tmp_path) not in server.health().text
