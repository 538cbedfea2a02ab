"""The pages of the dashboard in a real Chromium: they fit, anybody can use them, and what others wrote does nothing."""

from __future__ import annotations

from typing import Any, Final

import pytest

from browser.conftest import Dashboard
from browser.hands import PHONE, WIDE, Hands
from support.outside.lab import HOSTILE, REFUSED

pytestmark = pytest.mark.slow

SERIOUS: Final = ("serious", "critical")


def found_by_axe(hands: Hands) -> list[tuple[str, Any]]:
    return [(found["id"], found["nodes"][0]["html"]) for found in hands.violations() if found["impact"] in SERIOUS]


@pytest.mark.parametrize(("width", "is_dark"), [(WIDE, False), (WIDE, True), (PHONE, False), (PHONE, True)])
def test_every_page_fits_the_screen_and_anybody_can_use_it(
    dashboard: Dashboard, hands: Hands, width: int, *, is_dark: bool
) -> None:
    hands.browser.resize(width, is_dark=is_dark)
    for name, path in dashboard.paths.items():
        hands.open(path)
        hands.see("document.querySelectorAll('details').forEach((each) => each.setAttribute('open', ''))")
        assert hands.see("document.documentElement.scrollWidth") <= width, name
        assert found_by_axe(hands) == [], name
        assert hands.browser.complaints == [], name


@pytest.mark.parametrize(("width", "is_dark"), [(WIDE, True), (PHONE, False)])
def test_what_is_shown_once_and_the_sign_in_page_are_for_anybody_too(
    dashboard: Dashboard, hands: Hands, width: int, *, is_dark: bool
) -> None:
    hands.browser.resize(width, is_dark=is_dark)
    robot, begun = dashboard.robot_id, dashboard.control.ask("POST", "/v1/device/start", json={}).json()
    hands.open(f"/robots/{robot}")
    hands.submit(f"/robots/{robot}/pairing", f"/robots/{robot}/pairing")
    shown = [found_by_axe(hands)]
    widths = [hands.see("document.documentElement.scrollWidth")]
    hands.open(f"/device?code={begun['userCode']}")
    shown.append(found_by_axe(hands))
    hands.submit("/sign-out", "/sign-in")
    shown.append(found_by_axe(hands))
    hands.submit("/sign-in/code", "/sign-in/code")
    shown.append(found_by_axe(hands))
    widths.append(hands.see("document.documentElement.scrollWidth"))

    assert shown == [[], [], [], []]
    assert max(widths) <= width


def test_axe_would_find_letters_that_cannot_be_read_and_a_field_without_a_name(hands: Hands) -> None:
    hands.open("/keys")
    hands.see("document.querySelector('label[for=name]').remove();"
              "document.querySelector('main').append(Object.assign(document.createElement('p'),"
              "{textContent: 'grey on grey', className: 'grey'}));"
              "const sheet = new CSSStyleSheet(); sheet.replaceSync('.grey { color: #888; background: #999 }');"
              "document.adoptedStyleSheets = [sheet]; 0")  # fmt: skip

    assert {"label", "color-contrast"} <= {name for name, _ in found_by_axe(hands)}


def test_text_that_others_wrote_runs_nothing_and_turns_nothing_around(dashboard: Dashboard, hands: Hands) -> None:
    robot_id, deployment_id = dashboard.lab.robot("hostile"), dashboard.lab.deployment("hostile")
    dashboard.lab.rename_robot(robot_id, HOSTILE)
    dashboard.lab.doctor(deployment_id, [{**REFUSED[1], "message": HOSTILE, "fix": HOSTILE}])
    session_id = dashboard.lab.session(deployment_id, robot_id)
    dashboard.lab.close(session_id, HOSTILE)
    for path in ("/robots", f"/robots/{robot_id}", f"/deployments/{deployment_id}", f"/sessions/{session_id}"):
        hands.open(path)
        assert "<script>document.title='owned'</script>\\u202e" in hands.text()
        assert hands.see("document.title") != "owned"
        assert hands.browser.complaints == []
    dashboard.control.ask("POST", f"/v1/robots/{robot_id}/revoke", dashboard.lab.key.secret, json={})


def test_no_page_lets_a_script_of_its_own_text_run_or_reach_another_server(hands: Hands) -> None:
    hands.open("/robots")
    refused = hands.see(
        "new Promise((done) => { const seen = new Set();"
        " document.addEventListener('securitypolicyviolation', (event) => { seen.add(event.effectiveDirective);"
        " if (seen.size === 3) done(true); });"
        " const tag = document.createElement('script'); tag.textContent = 'owned = 1'; document.head.append(tag);"
        " document.body.setAttribute('style', 'color: red'); fetch('http://127.0.0.1:9/').catch(() => {}); })"
    )

    assert refused is True
    hands.browser.complaints.clear()
    hands.browser.requests.clear()
