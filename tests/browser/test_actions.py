"""Every action of the dashboard, done in a real Chromium with mouse and keyboard."""

from __future__ import annotations

from typing import Any

import pytest

from browser.conftest import Dashboard
from browser.hands import Hands
from reflex.signed.receipts import verify_lines
from support.waiting import wait_until

pytestmark = pytest.mark.slow


def ask(dashboard: Dashboard, path: str) -> Any:
    return dashboard.control.ask("GET", path, dashboard.lab.key.secret).json()


def test_who_signs_out_is_shown_nothing_any_more(hands: Hands) -> None:
    hands.submit("/sign-out", "/sign-in")
    assert "You are signed out." in hands.text()
    hands.browser.open(f"{hands.base_url}/sign-in?next=%2Frobots")
    assert hands.see("document.querySelectorAll('nav a').length") == 0
    assert hands.see("[document.cookie, localStorage.length, sessionStorage.length].join()") == ",0,0"


def test_a_browser_signs_in_by_a_code_that_an_admin_confirms(dashboard: Dashboard, hands: Hands) -> None:
    hands.submit("/sign-out", "/sign-in")
    hands.submit("/sign-in/code", "/sign-in/code")
    confirmation = {"userCode": hands.text(".secret"), "scopes": ["read"]}
    dashboard.control.ask("POST", "/v1/device/confirm", dashboard.lab.key.secret, json=confirmation)
    hands.submit("/sign-in/code/finish", "/")

    assert hands.text(".who").startswith("dashboard")
    assert hands.see("document.querySelectorAll('nav a').length") == 7
    hands.submit("/sign-out", "/sign-in")


def test_a_robot_is_promoted_by_keyboard_alone(dashboard: Dashboard, hands: Hands) -> None:
    _, name, session_id = dashboard.fresh()
    hands.open(f"/sessions/{session_id}")
    hands.tab_to(".skip")
    hands.press("Enter")
    hands.tab_to("#robot")
    hands.type("another arm")
    hands.leads(lambda: hands.press("Enter"), f"/sessions/{session_id}/promote")
    assert "nothing was promoted" in hands.text("[role=alert]")

    hands.tab_to("#robot")
    hands.type(name)
    hands.tab_to("button.moves")
    hands.leads(lambda: hands.press("Space"), f"/sessions/{session_id}")
    assert hands.text("h1").endswith("moves the robot")
    assert ask(dashboard, f"/v1/sessions/{session_id}")["mode"] == "apply_actions"
    hands.browser.complaints[:] = [each for each in hands.browser.complaints if "422" not in each]


def test_a_session_is_closed_and_taken_over(dashboard: Dashboard, hands: Hands) -> None:
    robot_id, _, session_id = dashboard.fresh()
    hands.open(f"/sessions/{session_id}")
    hands.click("#take-over ~ details summary")
    hands.write("#take-reason", "it drifts")
    hands.submit(f"/sessions/{session_id}/take-over", f"/sessions/{session_id}/take-over")
    own = ask(dashboard, f"/v1/robots/{robot_id}")["sessionId"]
    assert own in hands.text()

    hands.open(f"/sessions/{own}")
    hands.write("#close-reason", "done for today")
    hands.submit(f"/sessions/{own}/close", f"/sessions/{own}")
    assert "Closed: the session gets no answers any more." in hands.text("[role=status]")
    assert ask(dashboard, f"/v1/sessions/{own}")["reason"] == "done for today"


def test_the_doctor_is_asked_and_says_what_to_type(dashboard: Dashboard, hands: Hands) -> None:
    deployment_id = dashboard.lab.deployment("checked in the browser", url="http://127.0.0.1:9")
    hands.open(f"/deployments/{deployment_id}")
    hands.submit(f"/deployments/{deployment_id}/doctor", f"/deployments/{deployment_id}")

    assert "act_reachable" in hands.text(".checks")
    assert hands.see("document.querySelectorAll('.checks .fix').length") > 0


def test_a_robot_is_registered_paired_and_revoked(dashboard: Dashboard, hands: Hands) -> None:
    hands.open("/robots")
    hands.write("#name", "arm of the browser")
    hands.submit("/robots", "/robots/robot_")
    robot_id = str(hands.see("location.pathname")).rpartition("/")[2]
    hands.submit(f"/robots/{robot_id}/pairing", f"/robots/{robot_id}/pairing")
    token = hands.text(".secret")
    assert hands.see("document.querySelector('.qr').getBoundingClientRect().width") > 100
    claim = dashboard.control.ask("POST", "/v1/pairing-tokens/claim", json={"token": token})
    assert claim.json()["robotId"] == robot_id

    hands.open(f"/robots/{robot_id}")
    hands.submit(f"/robots/{robot_id}/revoke", f"/robots/{robot_id}")
    assert ask(dashboard, f"/v1/robots/{robot_id}")["revokedAt"] is not None


def test_a_key_is_created_rotated_and_revoked(dashboard: Dashboard, hands: Hands) -> None:
    hands.open("/keys")
    hands.write("#name", "night shift")
    hands.click("input[value=read]")
    hands.submit("/keys", "/keys")
    secret = hands.text(".secret")
    key_id = dashboard.control.ask("GET", "/v1/whoami", secret).json()["key"]["id"]

    hands.open("/keys")
    hands.submit(f"/keys/{key_id}/rotate", f"/keys/{key_id}/rotate")
    new = hands.text(".secret")
    hands.open("/keys")
    hands.submit(f"/keys/{key_id}/revoke", "/keys")
    assert [dashboard.control.ask("GET", "/v1/whoami", key).status_code for key in (secret, new)] == [401, 200]
    assert secret not in hands.see("document.documentElement.outerHTML")


def test_a_login_is_confirmed(dashboard: Dashboard, hands: Hands) -> None:
    begun = dashboard.control.ask("POST", "/v1/device/start", json={"clientName": "laptop"}).json()
    hands.open("/device")
    hands.write("#code", begun["userCode"].lower())
    hands.leads(lambda: hands.press("Enter"), "/device")
    assert "laptop" in hands.text()
    hands.submit("/device", "/device")

    told = dashboard.control.ask("POST", "/v1/device/token", json={"deviceCode": begun["deviceCode"]})
    assert told.json()["scopes"] == ["read", "write", "sessions", "train"]


def test_receipts_are_chosen_and_exported(hands: Hands) -> None:
    hands.open("/receipts")
    hands.choose("#kind", "session_closed")
    hands.leads(lambda: hands.click("form[action='/receipts'] button"), "/receipts")

    kinds = hands.see("[...document.querySelectorAll('[data-label=What]')].map((each) => each.innerText).join()")
    assert set(kinds.split(",")) == {"session_closed"}
    assert "whole" in hands.text(".head")
    lines = hands.see("fetch(document.querySelector('[download]').href).then((answer) => answer.text())").splitlines()
    assert verify_lines(lines).is_whole


def test_heartbeats_are_drawn_as_they_come_and_an_end_is_told(dashboard: Dashboard, hands: Hands) -> None:
    robot_id, _, session_id = dashboard.fresh()
    hands.open(f"/sessions/{session_id}")
    hands.wait("document.querySelector('#link').textContent.startsWith('Live.')")
    before = hands.see("document.querySelectorAll('.chart')[1].getAttribute('aria-label')")

    def is_drawn() -> bool:  # a robot says so again and again, and of what it says within a second one is told
        dashboard.lab.beat(robot_id, session_id, steps=123, guard_violations=2, latency_ms=33.3)
        return bool(hands.see("document.querySelector('#steps').textContent") == "123")

    wait_until(is_drawn, "the heartbeat is drawn")
    assert hands.see("document.querySelector('#guardViolations').parentElement.className") == "care"
    label = hands.see("document.querySelectorAll('.chart')[1].getAttribute('aria-label')")
    assert label.startswith("Latency: 33.3 ms now")
    assert label != before

    dashboard.lab.close(session_id, "elsewhere")
    hands.wait("!document.querySelector('#changed').hidden")
    assert hands.text("#changed").startswith("This session has ended (closed).")


def test_everything_but_the_charts_works_without_scripts(dashboard: Dashboard, hands: Hands) -> None:
    _, name, session_id = dashboard.fresh()
    hands.may_run_scripts(allowed=False)
    hands.sign_in(dashboard.lab.key.secret)
    hands.open(f"/sessions/{session_id}")
    assert "Charts need JavaScript" in hands.text("#link")
    assert hands.see("document.querySelector('#charts').hidden")
    assert hands.see("document.querySelectorAll('[data-heartbeat]').length") == 1

    hands.write("#robot", name)
    hands.submit(f"/sessions/{session_id}/promote", f"/sessions/{session_id}")
    assert hands.text("h1").endswith("moves the robot")
    hands.submit(f"/sessions/{session_id}/close", f"/sessions/{session_id}")
    wait_until(lambda: ask(dashboard, f"/v1/sessions/{session_id}")["status"] == "closed", "the session is closed")
