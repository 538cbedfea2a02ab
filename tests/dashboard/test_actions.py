"""Every action of the dashboard as a browser without JavaScript does it, and that the API would have done the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.outside.control_plane import ControlProcess, prepared_store, running_control
from support.outside.lab import PASSED, REFUSED, Lab
from support.outside.visitor import UNHURRIED, Visitor


@dataclass(frozen=True)
class Scene:
    control: ControlProcess
    lab: Lab
    visitor: Visitor

    def ask(self, path: str) -> Any:
        return self.control.ask("GET", path, self.lab.key.secret).json()

    def kinds(self, **wanted: str) -> list[str]:
        """Of the receipts about something, in their order."""
        query = "&".join(f"{name}={value}" for name, value in wanted.items())
        return [each["kind"] for each in self.ask(f"/v1/receipts?{query}")["receipts"]]

    def driven(self, *, checks: list[dict[str, Any]] | None = None) -> tuple[str, str, str]:
        """A robot, its deployment and a session in dry_run that beats, each with a name of its own."""
        number = next(self.lab.names)
        robot_id, deployment_id = self.lab.robot(f"arm {number}", paired=True), self.lab.deployment(f"kitchen {number}")
        if checks is not None:
            self.lab.doctor(deployment_id, checks)
        session_id = self.lab.session(deployment_id, robot_id)
        self.lab.beat(robot_id, session_id, steps=60)
        return robot_id, deployment_id, session_id


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("control") / "data"
    with prepared_store(folder) as (ours, _), running_control(folder, *UNHURRIED) as control:
        lab, visitor = Lab(ours), Visitor(control.base_url)
        visitor.sign_in(lab.key.secret)
        yield Scene(control, lab, visitor)
        visitor.close()


def secret_in(text: str) -> str:
    found = re.search(r'class="secret[^"]*">([^<]+)<', text)
    assert found is not None, text
    return found[1]


def test_a_promotion_asks_for_the_robots_name_and_does_nothing_for_another(scene: Scene) -> None:
    robot_id, _, session_id = scene.driven(checks=PASSED)
    page, action = f"/sessions/{session_id}", f"/sessions/{session_id}/promote"
    name = scene.ask(f"/v1/robots/{robot_id}")["name"]
    for typed in ("", name.upper(), name + "0", "arm"):
        refused = scene.visitor.submit(page, action, {"robot": typed})
        assert (refused.status_code, "nothing was promoted" in refused.text) == (422, True)
    assert scene.ask(f"/v1/sessions/{session_id}")["mode"] == "dry_run"

    done = scene.visitor.submit(page, action, {"robot": f" {name} "})
    assert (done.status_code, done.headers["location"]) == (303, f"{page}?done=promoted")
    assert scene.ask(f"/v1/sessions/{session_id}")["mode"] == "apply_actions"
    assert scene.kinds(sessionId=session_id) == ["session_authorized", "session_promoted"]
    assert "Promote to apply_actions" not in scene.visitor.get(page).text


def test_a_refused_promotion_shows_what_the_doctor_found_and_is_on_the_record(scene: Scene) -> None:
    robot_id, _, session_id = scene.driven(checks=REFUSED)
    name = scene.ask(f"/v1/robots/{robot_id}")["name"]
    refused = scene.visitor.submit(f"/sessions/{session_id}", f"/sessions/{session_id}/promote", {"robot": name})

    assert refused.status_code == 409
    assert "Deployment not ready for apply_actions" in refused.text
    assert "reflex serve --model-repository models/pick_cup" in refused.text
    assert scene.kinds(sessionId=session_id)[-1] == "promotion_refused"


def test_the_doctor_looks_when_it_is_asked_and_its_findings_stay(scene: Scene) -> None:
    robot_id, deployment_id, _ = scene.driven()
    page = f"/deployments/{deployment_id}"
    assert "Nobody has run the doctor yet" in scene.visitor.get(page).text
    done = scene.visitor.submit(page, f"{page}/doctor")
    assert done.headers["location"] == f"{page}?done=checked"

    text, found = scene.visitor.get(page).text, scene.ask(f"/v1/deployments/{deployment_id}")["doctor"]
    assert [check["id"] for check in found["checks"] if f"<code>{check['id']}</code>" not in text] == []
    assert "not ready" in text
    assert scene.kinds(deploymentId=deployment_id)[-1] == "doctor"
    assert scene.ask(f"/v1/robots/{robot_id}")["online"]


@pytest.mark.slow
def test_a_session_is_closed_with_its_reason(scene: Scene) -> None:
    _, _, session_id = scene.driven()
    page = f"/sessions/{session_id}"
    scene.visitor.submit(page, f"{page}/close", {"reason": "a cable is loose"})

    closed = scene.ask(f"/v1/sessions/{session_id}")
    assert (closed["status"], closed["reason"]) == ("closed", "a cable is loose")
    text = scene.visitor.get(f"{page}?done=closed").text
    assert "Closed: the session gets no answers any more." in text
    assert f"{page}/close" not in text


def test_taking_over_closes_the_other_session_and_begins_ones_own(scene: Scene) -> None:
    robot_id, _, session_id = scene.driven()
    page, action = f"/sessions/{session_id}", f"/sessions/{session_id}/take-over"
    assert scene.visitor.submit(page, action, {"reason": ""}).status_code == 422
    assert scene.ask(f"/v1/robots/{robot_id}")["sessionId"] == session_id

    taken = scene.visitor.submit(page, action, {"reason": "it drifts"})
    own = scene.ask(f"/v1/robots/{robot_id}")["sessionId"]
    assert (taken.status_code, own != session_id, f"/sessions/{own}" in taken.text) == (200, True, True)
    assert secret_in(taken.text).startswith("rfx_sess_")
    assert scene.kinds(robotId=robot_id)[-2:] == ["session_taken_over", "session_authorized"]


def test_a_page_of_a_session_that_ended_takes_over_no_other_one(scene: Scene) -> None:
    robot_id, deployment_id, session_id = scene.driven()
    page = f"/sessions/{session_id}"
    form = scene.visitor.form(page, f"{page}/take-over")
    scene.lab.close(session_id, "done")
    newer = scene.lab.session(deployment_id, robot_id)

    refused = scene.visitor.send(form, {"reason": "it drifts"})
    assert (refused.status_code, newer in refused.text) == (409, True)
    assert scene.ask(f"/v1/robots/{robot_id}")["sessionId"] == newer


def test_a_robot_is_registered_and_paired_by_a_code_that_works_once(scene: Scene) -> None:
    made = scene.visitor.submit("/robots", "/robots", {"name": "arm of the form", "calibrationId": "cal-1"})
    page = made.headers["location"].partition("?")[0]
    assert "cal-1" in scene.visitor.get(page).text

    paired = scene.visitor.submit(page, f"{page}/pairing", {"ttlSeconds": "600"})
    token = secret_in(paired.text)
    assert "<svg" in paired.text
    assert token not in scene.visitor.get(page).text
    claims = [scene.control.ask("POST", "/v1/pairing-tokens/claim", json={"token": token}) for _ in range(2)]
    assert [claim.status_code for claim in claims] == [201, 401]
    assert scene.kinds(robotId=page.rpartition("/")[2]) == [
        "robot_registered", "pairing_token_created", "robot_paired",
    ]  # fmt: skip


def test_a_name_that_is_taken_is_told_beside_the_form(scene: Scene) -> None:
    scene.lab.robot("arm of two")
    refused = scene.visitor.submit("/robots", "/robots", {"name": "arm of two"})

    assert refused.status_code == 409
    assert "there is a robot of this name" in refused.text
    assert 'action="/robots"' in refused.text


def test_a_robot_is_taken_out_of_service(scene: Scene) -> None:
    robot_id, _, session_id = scene.driven()
    page = f"/robots/{robot_id}"
    scene.visitor.submit(page, f"{page}/revoke", {"reason": "sold"})

    assert scene.ask(f"/v1/sessions/{session_id}")["status"] == "closed"
    assert f"{page}/pairing" not in scene.visitor.get(page).text
    assert "robot_revoked" in scene.kinds(robotId=robot_id)


def test_a_keys_secret_is_shown_when_it_is_made_and_never_again(scene: Scene) -> None:
    made = scene.visitor.submit("/keys", "/keys", {"name": "night shift"}, ["read", "sessions"])
    secret = secret_in(made.text)
    assert scene.control.ask("GET", "/v1/whoami", secret).json()["key"]["scopes"] == ["read", "sessions"]
    assert secret not in scene.visitor.get("/keys").text
    assert scene.control.log.count(secret) == 0


@pytest.mark.parametrize(
    ("fields", "ticked"), [({"name": ""}, ["read"]), ({"name": "x"}, []), ({"name": "x"}, ["fly"])]
)
def test_a_key_that_cannot_be_is_told_beside_the_form(scene: Scene, fields: dict[str, str], ticked: list[str]) -> None:
    form = scene.visitor.form("/keys", "/keys")
    form.boxes.append(("scopes", "fly"))
    refused = scene.visitor.send(form, fields, ticked)

    assert (refused.status_code in (400, 422), 'role="alert"' in refused.text) == (True, True)


def test_a_key_is_rotated_with_an_overlap_and_revoked_at_once(scene: Scene) -> None:
    old = scene.lab.tenant.key("read")
    rotated = scene.visitor.submit("/keys", f"/keys/{old.id}/rotate", {"overlapSeconds": "3600"})
    new = secret_in(rotated.text)
    assert [scene.control.ask("GET", "/v1/whoami", key).status_code for key in (old.secret, new)] == [200, 200]

    done = scene.visitor.submit("/keys", f"/keys/{old.id}/revoke", {"reason": "lost"})
    assert done.headers["location"] == "/keys?done=revoked"
    assert [scene.control.ask("GET", "/v1/whoami", key).status_code for key in (old.secret, new)] == [401, 200]


def test_a_form_that_is_sent_twice_makes_one_thing(scene: Scene) -> None:
    form = scene.visitor.form("/keys", "/keys")
    answers = [scene.visitor.send(form, {"name": "once"}, ["read"]) for _ in range(2)]

    assert len({secret_in(answer.text) for answer in answers}) == 1
    assert [key["name"] for key in scene.ask("/v1/keys")["keys"]].count("once") == 1


def test_who_revokes_the_key_that_they_are_signed_in_with_is_signed_out(scene: Scene) -> None:
    key, visitor = scene.lab.tenant.admin(), Visitor(scene.control.base_url)
    visitor.sign_in(key.secret)
    done = visitor.submit("/keys", f"/keys/{key.id}/revoke")

    assert done.headers["location"] == "/keys?done=revoked"
    assert visitor.get("/keys").headers["location"].startswith("/sign-in?")
    visitor.close()


def test_a_login_is_looked_at_and_refused(scene: Scene) -> None:
    begun = scene.control.ask("POST", "/v1/device/start", json={"clientName": "<b>laptop</b>"}).json()
    page = f"/device?code={begun['userCode']}"
    assert "&lt;b&gt;laptop&lt;/b&gt;" in scene.visitor.get(page).text

    done = scene.visitor.submit(page, "/device/refuse")
    told = scene.control.ask("POST", "/v1/device/token", json={"deviceCode": begun["deviceCode"]})
    assert (done.headers["location"], told.json()["error"]) == ("/device?done=refused", "login_refused")


def test_a_login_is_confirmed_with_the_scopes_that_were_ticked(scene: Scene) -> None:
    begun = scene.control.ask("POST", "/v1/device/start", json={"clientName": "laptop"}).json()
    scene.visitor.submit(f"/device?code={begun['userCode']}", "/device", ticked=["read", "promote"])

    told = scene.control.ask("POST", "/v1/device/token", json={"deviceCode": begun["deviceCode"]}).json()
    assert told["scopes"] == ["read", "promote"]
    assert scene.visitor.get("/device?code=BBBB-BBBB").status_code == 404
