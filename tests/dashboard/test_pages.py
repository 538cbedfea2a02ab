"""What the dashboard shows over the real socket, to whom, and that text which others wrote stays text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from reflex_control.identity.actor import SCOPES, Scope
from reflex_control.receipting import Facts
from support.outside.control_plane import ControlProcess, Tenant, prepared_store, running_control
from support.outside.lab import HOSTILE, PASSED, REFUSED, Lab
from support.outside.training_lab import TrainingLab
from support.outside.visitor import UNHURRIED, Visitor, forms_in

LISTS = ("/", "/deployments", "/sessions", "/robots", "/datasets", "/training", "/receipts", "/keys")
CHECK = {"id": HOSTILE, "status": "fail", "message": HOSTILE, "fix": HOSTILE}


@dataclass(frozen=True)
class Scene:
    control: ControlProcess
    ours: Tenant
    theirs: Tenant
    lab: Lab
    robot_id: str
    deployment_id: str
    session_id: str
    run_id: str

    def pages(self) -> list[str]:
        """Of everything that there is."""
        return [*LISTS, *self.pages_of_one()]

    def pages_of_one(self) -> list[str]:
        return [
            f"/deployments/{self.deployment_id}",
            f"/sessions/{self.session_id}",
            f"/robots/{self.robot_id}",
            f"/training/{self.run_id}",
        ]

    def visitor(self, *scopes: Scope) -> Visitor:
        visiting = Visitor(self.control.base_url)
        visiting.sign_in(self.ours.key(*scopes).secret)
        return visiting


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Everything in it has a name that is markup and turns text around."""
    folder: Path = tmp_path_factory.mktemp("control") / "data"
    with prepared_store(folder) as (ours, theirs), running_control(folder, *UNHURRIED) as control:
        lab = Lab(ours)
        robot_id, deployment_id = lab.robot("arm-1"), lab.deployment("kitchen")
        lab.rename_robot(robot_id, HOSTILE)
        lab.doctor(deployment_id, [CHECK, *REFUSED, *PASSED])
        ended = lab.session(deployment_id, robot_id)
        lab.close(ended, HOSTILE)
        session_id = lab.session(deployment_id, robot_id)
        run_id = hostile_run(TrainingLab(lab))
        yield Scene(control, ours, theirs, lab, robot_id, deployment_id, session_id, run_id)


def hostile_run(training: TrainingLab) -> str:
    """One that trains on a dataset of that name, in whose log and reason it stands, too."""
    failed = {"errors": 1, "failed": [{"id": HOSTILE, "severity": HOSTILE, "count": HOSTILE}]}
    training.dataset(HOSTILE, "invalid", failed)
    dataset_id = training.dataset(HOSTILE)
    training.start(dataset_id)
    training.end(training.claim(), "failed", HOSTILE, 0)
    run_id = training.start(dataset_id)
    training.beat(training.claim(), 7, log=[HOSTILE])
    return run_id


@pytest.fixture(scope="module")
def admin(scene: Scene) -> Iterator[Visitor]:
    visiting = scene.visitor(*SCOPES)
    yield visiting
    visiting.close()


def test_stored_text_is_shown_as_text_on_every_page(scene: Scene, admin: Visitor) -> None:
    shown = 0
    for path in scene.pages():
        text = admin.get(path).text
        assert "<script>document" not in text, path
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", text), path
        shown += text.count("<bdi>&lt;script&gt;document.title=&#39;owned&#39;&lt;/script&gt;\\u202e\\u2066&#39;")
    assert shown > 10


def test_another_organisations_things_are_not_found_whatever_is_done_to_them(scene: Scene) -> None:
    stranger = Visitor(scene.control.base_url)
    stranger.sign_in(scene.theirs.admin().secret)
    token = dict(stranger.form("/keys", "/keys").fields)["token"]
    key_id = scene.ours.key("read").id
    own = {"origin": scene.control.base_url}
    for path in scene.pages_of_one():
        assert stranger.get(path).status_code == 404, path
    for path in (
        f"/deployments/{scene.deployment_id}/doctor", f"/sessions/{scene.session_id}/promote",
        f"/sessions/{scene.session_id}/close", f"/sessions/{scene.session_id}/take-over",
        f"/robots/{scene.robot_id}/pairing", f"/robots/{scene.robot_id}/revoke",
        f"/keys/{key_id}/rotate", f"/keys/{key_id}/revoke", f"/training/{scene.run_id}/cancel",
    ):  # fmt: skip
        answer = stranger.client.post(path, data={"token": token, "reason": "x", "robot": "x"}, headers=own)
        assert answer.status_code == 404, path
    for path in LISTS:
        for secret in (scene.robot_id, scene.deployment_id, scene.session_id, scene.run_id, key_id):
            assert secret not in stranger.get(path).text
    stranger.close()


ACTIONS: dict[str, tuple[Scope, ...]] = {
    "/sessions/{session}/promote": ("promote",), "/sessions/{session}/close": ("sessions",),
    "/sessions/{session}/take-over": ("sessions",), "/robots": ("write",), "/robots/{robot}/pairing": ("write",),
    "/robots/{robot}/revoke": ("write",), "/keys": ("admin",),
    "/deployments/{deployment}/doctor": ("write", "sessions"), "/training/{run}/cancel": ("train",),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("scope", SCOPES)
def test_what_a_key_may_not_is_neither_shown_nor_done(scene: Scene, scope: Scope) -> None:
    visitor = scene.visitor("read", scope)
    own = {"origin": scene.control.base_url}
    token = dict(visitor.form("/", "/sign-out").fields)["token"]
    offered = {form.action for path in scene.pages() for form in forms_in(visitor.get(path).text)}
    for action, needed in ACTIONS.items():
        path = action.format(
            session=scene.session_id, robot=scene.robot_id, deployment=scene.deployment_id, run=scene.run_id
        )
        assert (path in offered) == (scope in needed), path
        if scope not in needed:
            refused = visitor.client.post(path, data={"token": token, "reason": "x", "robot": HOSTILE}, headers=own)
            assert refused.status_code in (403, 422), path
            assert "this key has no scope" in refused.text or "not the name" in refused.text
    visitor.close()


def test_times_are_said_in_utc_in_an_element_of_their_own(admin: Visitor) -> None:
    text = admin.get("/receipts").text

    assert re.search(r'<time datetime="\d{4}-\d\d-\d\dT[\d:.]{12}Z">\d{4}-\d\d-\d\d [\d:]{8} UTC</time>', text)


def test_the_doctors_findings_begin_with_what_is_wrong_and_say_what_to_type(scene: Scene, admin: Visitor) -> None:
    text = admin.get(f"/deployments/{scene.deployment_id}").text

    states = re.findall(r'class="what"><span class="badge (\w+)">', text)
    assert states[:2] == ["bad", "bad"]
    assert states == sorted(states, key=["bad", "care", "over", "good"].index)
    assert "reflex serve --model-repository models/pick_cup" in text


def test_receipts_are_chosen_by_what_they_are_about_and_exported(scene: Scene, admin: Visitor) -> None:
    chosen = admin.get(f"/receipts?kind=session_closed&robot_id={scene.robot_id}").text
    assert set(re.findall(r"<td data-label=\"What\"><code>(\w+)<", chosen)) == {"session_closed"}
    assert "There is none like that" in admin.get("/receipts?session_id=%3Cscript%3E").text
    assert admin.get("/receipts?before=x&limit=y").status_code == 200

    lines = admin.get("/receipts/export").text.splitlines()
    assert json.loads(lines[0])["last"] == len(lines) - 1
    assert re.search(r'<span class="badge good">whole</span>.*?\d+ receipts', admin.get("/receipts").text, re.DOTALL)


def test_a_long_list_of_receipts_has_pages(scene: Scene, admin: Visitor) -> None:
    for number in range(60):
        with scene.lab.plane.writing(scene.lab.actor) as writing:
            writing.receipt("counted", Facts(reason=str(number)))
    first = admin.get("/receipts?kind=counted").text
    older = re.search(r'href="(/receipts\?kind=counted&amp;before=\d+)">Older', first)
    assert older is not None
    second = admin.get(older[1].replace("&amp;", "&")).text
    seen = [int(number) for text in (first, second) for number in re.findall(r'Reason"><bdi>(\d+)<', text)]

    assert seen == list(reversed(range(60)))


def test_heartbeats_come_to_a_page_as_they_are_sent_and_the_stream_ends_with_the_key(scene: Scene) -> None:
    key = scene.ours.key("read")
    watcher = Visitor(scene.control.base_url)
    watcher.sign_in(key.secret)
    with watcher.client.stream("GET", "/live") as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("id: ")
        scene.lab.beat(scene.robot_id, scene.session_id, steps=51, latency_ms=9.5)
        data = next(line for line in lines if line.startswith("data: ") and "sessionId" in line)
        told = json.loads(data.removeprefix("data: "))
        assert (told["sessionId"], told["steps"], told["latencyMs"]) == (scene.session_id, 51, 9.5)
        scene.control.ask("POST", f"/v1/keys/{key.id}/revoke", scene.lab.key.secret, json={})
        assert "event" not in "".join(lines)
    watcher.close()
    with closing(scene.visitor("read")) as reader:
        assert "51" in reader.get(f"/sessions/{scene.session_id}").text


def test_who_may_not_read_hears_nothing(scene: Scene) -> None:
    with closing(scene.visitor("sessions")) as known, closing(Visitor(scene.control.base_url)) as nobody:
        assert known.get("/live").status_code == 403
        assert nobody.get("/live").status_code == 303


@pytest.mark.parametrize("before", ["123456789012345678abc", "9" * 40, "-1", "%00", "%D9%A1"])
def test_a_place_that_is_none_shows_the_receipts_from_the_newest_on(admin: Visitor, before: str) -> None:
    page = admin.get(f"/receipts?before={before}")
    assert page.status_code == 200
    assert "session_authorized" in page.text
