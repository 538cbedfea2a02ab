"""The control plane of a release: where its store lies, who reaches whom, how it is changed and kept."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from helm.chart import Manifest, containers_of, merged, notes, of_kind, pod_specs, render
from helm.table import CONTROL, MONITORED, POSTGRES, SAME_NAMESPACE, SESSIONS
from reflex_control.serve import DRAIN_S
from reflex_control.settings import Settings
from support.server import free_port
from support.waiting import HANGS_S, wait_until

NAME = "cell-reflex-control"
BACKED_UP = merged(CONTROL, {"control": {"backup": {"enabled": True}}})
KEY = re.compile(r"rfx_[0-9A-Za-z]{36}")


def named(release: list[Manifest], kind: str, name: str = NAME) -> Manifest:
    [found] = [each for each in of_kind(release, kind) if each["metadata"]["name"] == name]
    return found


def container(values: dict[str, Any], where: str = f"Deployment/{NAME}", name: str = "control") -> Manifest:
    found: Manifest = containers_of(pod_specs(render(values))[where])[name]
    return found


def environment(found: Manifest) -> dict[str, str]:
    return {each["name"]: each["value"] for each in found["env"] if "value" in each}


def test_without_being_asked_for_there_is_none() -> None:
    assert [each for each in render() if "control" in each["metadata"]["name"]] == []


def test_sqlite_has_one_server_at_a_time_on_a_claim_that_is_kept() -> None:
    release = render(CONTROL)
    spec = named(release, "Deployment")["spec"]
    claim = named(release, "PersistentVolumeClaim")

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert {"name": "data", "persistentVolumeClaim": {"claimName": NAME}} in spec["template"]["spec"]["volumes"]
    assert of_kind(release, "Job") == []


def test_its_tables_are_migrated_before_the_server_opens_them() -> None:
    pod = pod_specs(render(CONTROL))[f"Deployment/{NAME}"]
    assert [each["args"] for each in pod["initContainers"]] == [["control", "migrate"]]

    release = render(POSTGRES)
    job = named(release, "Job", f"{NAME}-migrate")
    assert containers_of(job["spec"]["template"]["spec"])["migrate"]["args"] == ["control", "migrate"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade,pre-rollback"
    assert "initContainers" not in pod_specs(release)[f"Deployment/{NAME}"]


def test_a_hook_needs_no_account_and_no_claim_that_is_made_after_it() -> None:
    spec = pod_specs(render(POSTGRES))[f"Job/{NAME}-migrate"]

    assert spec["serviceAccountName"] == "default"
    assert [volume for volume in spec["volumes"] if "emptyDir" not in volume] == []


def test_several_on_postgresql_are_exchanged_one_by_one_and_drained_one_by_one() -> None:
    release = render(POSTGRES)
    budget = named(release, "PodDisruptionBudget")["spec"]

    assert named(release, "Deployment")["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert of_kind(release, "PersistentVolumeClaim") == []
    assert [each for each in of_kind(render(CONTROL), "PodDisruptionBudget") if each["metadata"]["name"] == NAME] == []


@pytest.mark.parametrize("where", [f"Deployment/{NAME}", f"Job/{NAME}-migrate"])
def test_the_url_of_the_database_comes_from_its_secret_alone(where: str) -> None:
    for found in containers_of(pod_specs(render(POSTGRES))[where]).values():
        [variable] = [each for each in found["env"] if each["name"] == "REFLEX_CONTROL_DB"]
        assert variable["valueFrom"] == {"secretKeyRef": {"name": "store", "key": "url"}}


def test_the_settings_that_the_chart_renders_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    values = merged(CONTROL, {"control": {"rateLimit": 2.5, "allowedHosts": "a.example,b.example"}})
    told = environment(container(values))
    monkeypatch.setenv("HOME", told["HOME"])
    for name, value in told.items():
        monkeypatch.setenv(name, value)

    settings = Settings.load({})

    assert told.keys() <= {"HOME", *(f"REFLEX_CONTROL_{name.upper()}" for name in Settings.model_fields)}
    assert (settings.host, settings.port, settings.rate_limit) == ("0.0.0.0", 8100, 2.5)
    assert (settings.first_key, settings.json_logs, settings.allowed_hosts) == (False, True, ("a.example", "b.example"))


def test_the_store_lies_in_a_folder_of_its_own_that_no_mount_opens_to_the_group() -> None:
    for values in (CONTROL, merged(CONTROL, {"pod": {"runAsUser": None}})):
        pod = pod_specs(render(values))[f"Deployment/{NAME}"]
        assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
        data, mount = environment(containers_of(pod)["control"])["REFLEX_CONTROL_DATA"], "/data"
        assert Path(data).parent == Path(mount)


@pytest.mark.parametrize("delay_s", [0, 5, 120])
def test_the_pod_lives_long_enough_to_drain(delay_s: int) -> None:
    values = merged(CONTROL, {"drain": {"delaySeconds": delay_s}})
    pod = pod_specs(render(values))[f"Deployment/{NAME}"]

    assert container(values)["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", str(delay_s)]
    assert pod["terminationGracePeriodSeconds"] > delay_s + DRAIN_S + 3


def test_everybody_may_ask_and_it_calls_the_frontends_alone() -> None:
    spec = named(render(CONTROL), "NetworkPolicy")["spec"]
    [frontends, names] = spec["egress"]

    assert spec["ingress"] == [{"ports": [{"protocol": "TCP", "port": "control"}]}]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert frontends["ports"] == [{"protocol": "TCP", "port": "http"}]
    assert frontends["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "server"
    assert {each["port"] for each in names["ports"]} == {53}


def test_where_few_may_ask_the_frontends_still_may_and_the_doctor_reaches_them() -> None:
    values = {"control": {"networkPolicy": {"from": SAME_NAMESPACE}}, "networkPolicy": {"from": SAME_NAMESPACE}}
    release = render(merged(CONTROL, values))
    [rule] = named(release, "NetworkPolicy")["spec"]["ingress"]
    [serving] = named(release, "NetworkPolicy", "cell-reflex")["spec"]["ingress"]

    assert rule["from"][0] == SAME_NAMESPACE[0]
    assert rule["from"][1]["podSelector"]["matchLabels"].items() <= labels_of(release, "cell-reflex").items()
    assert serving["from"][2]["podSelector"]["matchLabels"].items() <= labels_of(release, NAME).items()


def labels_of(release: list[Manifest], deployment: str) -> dict[str, str]:
    found: dict[str, str] = named(release, "Deployment", deployment)["spec"]["template"]["metadata"]["labels"]
    return found


def test_what_postgresql_needs_is_let_out_beside_the_chart_s_own_rules() -> None:
    egress = named(render(POSTGRES), "NetworkPolicy")["spec"]["egress"]

    assert {"ports": [{"protocol": "TCP", "port": 5432}]} in egress
    assert len(egress) == 3


def test_neither_service_sends_to_the_other_s_pods() -> None:
    release = render(BACKED_UP)
    services = {each["metadata"]["name"]: each["spec"]["selector"] for each in of_kind(release, "Service")}
    backup = named(release, "CronJob", "cell-reflex-backup")["spec"]["jobTemplate"]["spec"]["template"]["metadata"]

    assert services[NAME].items() <= labels_of(release, NAME).items()
    assert not services[NAME].items() <= labels_of(release, "cell-reflex").items()
    assert not services["cell-reflex"].items() <= labels_of(release, NAME).items()
    assert not services[NAME].items() <= backup["labels"].items()


def test_frontends_ask_for_sessions_only_when_told_and_then_with_a_key_of_their_own() -> None:
    plain = container(CONTROL, "Deployment/cell-reflex", "frontend")
    asking = container(SESSIONS, "Deployment/cell-reflex", "frontend")
    [key] = [each for each in asking["env"] if each["name"] == "REFLEX_CONTROL_KEY"]

    assert environment(plain).keys() & {"REFLEX_SESSIONS_FROM", "REFLEX_CONTROL_KEY"} == set()
    assert environment(asking)["REFLEX_SESSIONS_FROM"] == f"http://{NAME}:8100"
    assert key["valueFrom"] == {"secretKeyRef": {"name": "frontend", "key": "control-key"}}
    assert "REFLEX_INSECURE" not in environment(asking)


def test_frontends_that_ask_for_sessions_may_call_the_control_plane_and_nobody_else() -> None:
    release = render(SESSIONS)
    [control, names] = named(release, "NetworkPolicy", "cell-reflex")["spec"]["egress"]

    assert control["ports"] == [{"protocol": "TCP", "port": "control"}]
    assert control["to"][0]["podSelector"]["matchLabels"].items() <= labels_of(release, NAME).items()
    assert {each["port"] for each in names["ports"]} == {53}


def test_sessions_guard_a_policy_of_ones_own_as_keys_do() -> None:
    own = {"modelRepository": {"source": "claim", "claim": {"name": "policies"}}}

    assert render(merged(SESSIONS, own))
    assert "no API keys" not in notes(merged(SESSIONS, own))


def test_the_backup_runs_beside_the_server_whose_claim_it_reads() -> None:
    release = render(BACKED_UP)
    spec = named(release, "CronJob", "cell-reflex-backup")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [term] = spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    claims = {each["persistentVolumeClaim"]["claimName"] for each in spec["volumes"] if "emptyDir" not in each}

    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"].items() <= labels_of(release, NAME).items()
    assert claims == {NAME, f"{NAME}-backups"}
    assert containers_of(spec)["backup"]["args"] == ["control", "backup", "/backups", "--keep=14"]


def test_prometheus_finds_it_where_it_finds_the_frontends() -> None:
    release = render(merged(MONITORED, CONTROL))
    monitor, service = named(release, "ServiceMonitor"), named(release, "Service")

    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [each["port"] for each in monitor["spec"]["endpoints"]] == [
        each["name"] for each in service["spec"]["ports"]
    ]
    other = named(release, "ServiceMonitor", "cell-reflex")["spec"]["selector"]["matchLabels"]
    assert not other.items() <= service["metadata"]["labels"].items()


def test_the_notes_say_how_the_first_key_is_made() -> None:
    assert f"exec deployment/{NAME} --container control -- reflex control init" in notes(CONTROL)
    assert "control" not in notes()


@pytest.mark.slow
def test_the_pod_s_containers_and_the_backup_run_as_the_chart_has_them(tmp_path: Path) -> None:
    """The migration, the server, the first key beside it and the backup, with the folders of a volume as it comes."""
    (data := tmp_path / "data").mkdir(mode=0o2775)
    (backups := tmp_path / "backups").mkdir()
    release, port = pod_specs(render(BACKED_UP)), free_port()
    pod = containers_of(release[f"Deployment/{NAME}"])
    copying = containers_of(release["CronJob/cell-reflex-backup"])["backup"]
    told = {**os.environ, **environment(pod["control"]), "REFLEX_CONTROL_PORT": str(port)}
    told |= {"REFLEX_CONTROL_DATA": told["REFLEX_CONTROL_DATA"].replace("/data", str(data), 1)}
    told |= {"REFLEX_CONTROL_HOST": "127.0.0.1"}

    def reflex(*arguments: str) -> subprocess.CompletedProcess[str]:
        words = [word.replace("/backups", str(backups)) for word in arguments]
        command = [sys.executable, "-m", "reflex.cli", *words]
        return subprocess.run(command, env=told, capture_output=True, text=True, timeout=HANGS_S, check=True)

    reflex(*pod["migrate"]["args"])
    server = subprocess.Popen([sys.executable, "-m", "reflex.cli", *pod["control"]["args"]], env=told)
    try:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            path = pod["control"][probe]["httpGet"]["path"]
            wait_until(lambda path=path: is_ok(f"http://127.0.0.1:{port}{path}"), f"{path} answers")  # type: ignore[misc]
        [key] = KEY.findall(reflex("control", "init").stdout)
        whose = httpx.get(f"http://127.0.0.1:{port}/v1/whoami", headers={"Authorization": f"Bearer {key}"})
        reflex(*copying["args"])
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(HANGS_S)

    assert whose.json()["key"]["name"] == "admin"
    assert (code, len(list(backups.glob("control-*Z.db")))) == (0, 1)


def is_ok(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.TransportError:
        return False
