"""A pairing token is claimed once over HTTP too, whoever asks how often at once."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import httpx
import pytest

from reflex_control.http.routes import robots
from reflex_control.identity.actor import SCOPES, Actor
from reflex_control.plane import Plane
from support.outside.control_plane import prepared_store, running_control
from unit.reflex_control.scene import a_robot

TOKENS: Final = int(os.environ.get("REFLEX_CHAOS_CLAIMS", "20"))
CLAIMANTS: Final = 32


@pytest.mark.timeout(600)
def test_each_token_has_one_winner_and_gives_a_robot_its_key(tmp_path: Path) -> None:
    assert robots.ROBOT_OPERATIONS
    with prepared_store(tmp_path / "data") as (ours, _):
        admin = ours.admin()
        robot_id = a_robot(Plane(ours.store), Actor(admin.id, "test", ours.organisation_id, frozenset(SCOPES)))
        with (
            running_control(tmp_path / "data", "--rate-limit", "1000000", "--public-rate-limit", "1000000") as control,
            httpx.Client(base_url=control.base_url, verify=False, timeout=60) as client,
            ThreadPoolExecutor(CLAIMANTS) as threads,
        ):
            path, headers = f"/v1/robots/{robot_id}/pairing-tokens", {"authorization": f"Bearer {admin.secret}"}
            for _ in range(TOKENS):
                token = client.post(path, headers=headers).json()["token"]
                claims = [
                    threads.submit(client.post, "/v1/pairing-tokens/claim", json={"token": token})
                    for _ in range(CLAIMANTS)
                ]
                answers = [claim.result() for claim in claims]
                assert Counter(answer.status_code for answer in answers) == {201: 1, 401: CLAIMANTS - 1}
                won = next(answer.json() for answer in answers if answer.status_code == 201)
                told = control.ask("GET", "/v1/whoami", won["key"]).json()["key"]
                assert (told["robotId"], told["id"]) == (robot_id, won["keyId"])
            assert token not in control.log
