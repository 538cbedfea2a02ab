"""A login by a code over the real socket: begun without a key, confirmed by an admin, handed out once; and bounded."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from reflex_control.identity.device_login import LIFE_MS
from reflex_control.moments import now_ms
from reflex_control.store.tables import device_login
from support.outside.control_plane import ControlProcess, Tenant, prepared_store, running_control
from support.waiting import wait_until

NUMBERS = itertools.count(1)
UNKNOWN = "rfx_login_" + "a" * 30


@dataclass(frozen=True)
class Scene:
    control: ControlProcess
    ours: Tenant
    theirs: Tenant
    admin: str

    def post(self, path: str, key: str | None = None, **body: Any) -> Any:
        return self.control.ask("POST", f"/v1/device/{path}", key, json=body)

    def start(self) -> dict[str, Any]:
        """From an address that nobody has asked from before."""
        elsewhere = {"x-forwarded-for": f"198.51.100.{next(NUMBERS)}"}
        body = {"clientName": "reflex on arm"}
        begun = self.control.ask("POST", "/v1/device/start", json=body, headers=elsewhere)
        assert begun.status_code == 200, begun.text
        return dict(begun.json())

    def receipts(self, kind: str) -> list[dict[str, Any]]:
        found = self.control.ask("GET", f"/v1/receipts?kind={kind}", self.admin).json()["receipts"]
        return list(found)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("control") / "data"
    with (
        prepared_store(folder) as (ours, theirs),
        running_control(folder, "--public-rate-limit", "1000000", "--trusted-proxies", "127.0.0.0/8") as control,
    ):
        yield Scene(control, ours, theirs, ours.admin().secret)


def test_a_confirmed_login_gives_its_key_once(scene: Scene) -> None:
    begun = scene.start()
    assert begun["verificationUrl"] == f"{scene.control.base_url}/device"
    confirmed = scene.post("confirm", scene.admin, userCode=begun["userCode"].lower(), scopes=["read", "write"]).json()
    assert (confirmed["status"], confirmed["clientName"]) == ("confirmed", "reflex on arm")

    taken = scene.post("token", deviceCode=begun["deviceCode"]).json()
    told = scene.control.ask("GET", "/v1/whoami", taken["key"]).json()
    again = scene.post("token", deviceCode=begun["deviceCode"])

    assert (told["key"]["scopes"], told["key"]["name"]) == (["read", "write"], "reflex on arm")
    assert told["organisation"]["id"] == taken["organisationId"] == scene.ours.organisation_id
    assert (again.status_code, again.json()["error"]) == (410, "login_ended")
    assert scene.receipts("login_confirmed")[-1]["reason"] == f"{confirmed['id']}: reflex on arm; read, write"
    assert scene.receipts("key_created")[-1]["reason"] == f"{taken['keyId']}: reflex on arm, by {confirmed['id']}"
    assert not any(secret in scene.control.log for secret in (taken["key"], begun["deviceCode"], begun["userCode"]))


def test_who_asks_too_soon_is_told_when_to_come_back(scene: Scene) -> None:
    begun = scene.start()

    answers = [scene.post("token", deviceCode=begun["deviceCode"]) for _ in range(2)]

    assert [(answer.status_code, answer.json()["error"]) for answer in answers] == [
        (428, "login_pending"), (429, "rate_limited"),
    ]  # fmt: skip
    assert 1 <= int(answers[1].headers["retry-after"]) <= begun["intervalSeconds"]


def test_a_confirmation_gives_neither_promotion_nor_administration_unless_it_names_them(scene: Scene) -> None:
    plain, named = scene.start(), scene.start()

    assert scene.post("confirm", scene.admin, userCode=plain["userCode"]).json()["scopes"] == [
        "read", "write", "sessions", "train",
    ]  # fmt: skip
    assert scene.post("confirm", scene.admin, userCode=named["userCode"], scopes=["admin"]).json()["scopes"] == [
        "admin"
    ]


def test_only_an_admin_confirms_and_gives_no_more_than_it_has(scene: Scene) -> None:
    begun, admin = scene.start(), scene.ours.key("admin", "read").secret
    answers = [
        scene.post("confirm", scene.ours.key("read", "write", "promote").secret, userCode=begun["userCode"]),
        scene.post("confirm", admin, userCode=begun["userCode"], scopes=["read", "promote"]),
        scene.post("confirm", scene.ours.key("admin").secret, userCode=begun["userCode"]),
        scene.post("confirm", admin, userCode=begun["userCode"], scopes=["fly"]),
        scene.post("confirm", admin, userCode=begun["userCode"], scopes=["read"]),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 422, 422, 200]
    assert [answer.json().get("scope") for answer in answers[:2]] == ["admin", "promote"]


def test_a_login_that_is_refused_or_withdrawn_gives_no_key(scene: Scene) -> None:
    refused, withdrawn = scene.start(), scene.start()
    assert scene.post("refuse", scene.admin, userCode=refused["userCode"]).json()["status"] == "refused"
    assert scene.post("cancel", deviceCode=withdrawn["deviceCode"]).json() == {"withdrawn": True}
    assert scene.post("cancel", deviceCode=UNKNOWN).json() == {"withdrawn": True}

    asked = [scene.post("token", deviceCode=each["deviceCode"]) for each in (refused, withdrawn)]
    confirmed = [scene.post("confirm", scene.admin, userCode=each["userCode"]) for each in (refused, withdrawn)]

    assert [answer.json()["error"] for answer in asked] == ["login_refused", "login_ended"]
    assert [answer.json()["error"] for answer in confirmed] == ["not_found", "not_found"]


def test_the_key_of_an_admin_who_lost_the_right_meanwhile_is_not_made(scene: Scene) -> None:
    begun, admin = scene.start(), scene.ours.admin()
    scene.post("confirm", admin.secret, userCode=begun["userCode"])
    scene.control.ask("POST", f"/v1/keys/{admin.id}/revoke", scene.admin)

    assert scene.post("token", deviceCode=begun["deviceCode"]).json()["error"] == "login_ended"


def test_guessing_codes_ends_soon_and_holds_up_nobody_else(scene: Scene) -> None:
    begun, guesser = scene.start(), scene.theirs.admin().secret
    guesses = [scene.post("confirm", guesser, userCode="BBBB-BBBB").status_code for _ in range(7)]

    assert guesses == [404] * 5 + [429] * 2
    assert scene.post("refuse", guesser, userCode=begun["userCode"]).status_code == 429
    assert scene.post("confirm", scene.admin, userCode=begun["userCode"]).status_code == 200


def test_one_address_does_not_fill_the_store(scene: Scene) -> None:
    mine = {"x-forwarded-for": "203.0.113.9"}
    answers = [scene.control.ask("POST", "/v1/device/start", json={}, headers=mine) for _ in range(25)]

    assert [answer.status_code for answer in answers].count(200) <= 21
    assert answers[-1].json()["message"].startswith("too many logins were begun from this address")
    assert "retry-after" in answers[-1].headers


def test_a_login_whose_time_is_over_is_forgotten(scene: Scene) -> None:
    with scene.ours.store.writing() as connection:
        connection.execute(
            device_login.insert().values(
                id="login_old", device_digest=b"0" * 32, user_code="XXXX-XXXX", created_at=now_ms() - LIFE_MS,
                expires_at=now_ms(),
            )
        )  # fmt: skip

    def is_gone() -> bool:
        with scene.ours.store.reading() as connection:
            return connection.scalar(select(device_login.c.id).where(device_login.c.id == "login_old")) is None

    wait_until(is_gone, "it is forgotten")


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("start", {"clientName": "a\x1b[2J"}, "invalid_value"), ("start", {"clientName": ""}, "invalid_value"),
        ("start", {"clientName": "a" * 201}, "invalid_value"), ("start", {"scopes": ["admin"]}, "invalid_value"),
        ("token", {}, "missing_field"), ("token", {"deviceCode": 1}, "wrong_type"),
        ("token", {"deviceCode": UNKNOWN}, "login_ended"), ("token", {"deviceCode": "a" * 257}, "invalid_value"),
    ],
)  # fmt: skip
def test_what_is_sent_without_a_key_is_read_strictly(scene: Scene, path: str, body: dict[str, Any], code: str) -> None:
    assert scene.post(path, **body).json()["error"] == code


def test_every_public_route_is_limited_by_address(tmp_path: Path) -> None:
    options = ("--public-rate-limit", "0.5", "--public-url", "https://robots.example/", "--rate-limit", "1000000")
    with prepared_store(tmp_path / "data") as (ours, _), running_control(tmp_path / "data", *options) as control:
        key = ours.key("read").secret
        asked = [
            control.ask("POST", "/v1/device/start", json={}),
            control.ask("POST", "/v1/device/token", json={"deviceCode": UNKNOWN}),
            control.ask("POST", "/v1/pairing-tokens/claim", json={"token": "rfx_pair_x"}),
            control.ask("GET", "/v1/keyset"),
        ]
        keyed = [control.ask("GET", "/v1/models", key).status_code for _ in range(5)]

    assert re.fullmatch(r"https://robots\.example/device", asked[0].json()["verificationUrl"])
    assert [answer.status_code for answer in asked] == [200, 429, 429, 429]
    assert asked[1].json()["message"].startswith("this address has used up its requests")
    assert keyed == [200] * 5
