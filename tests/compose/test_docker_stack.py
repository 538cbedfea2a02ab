"""The stack of compose.yaml on a real Docker engine: reachable where it should be, closed elsewhere, hard to break.

The tests run in their order: the last ones kill and stop what the first ones look at.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from compose.stack import Load, Stack
from docs.documents import REPOSITORY, blocks_of
from support.skips import skip_for_want_of
from support.waiting import wait_until

SERVICES = ("frontend", "control", "triton")
TRITON_PORTS = (8000, 8001, 8002)
READY_AGAIN_S = 40.0
DOWN_S = 15.0
PROBE = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()
except OSError as exc:
    sys.exit(f"{exc}")
"""


def in_container(stack: Stack, service: str, *command: str) -> str:
    return stack.engine.compose("exec", "--no-TTY", service, *command)


def connects_from(stack: Stack, network: str, host: str, port: int) -> bool:
    """Whether a fresh container on `network` gets a connection."""
    image = stack.engine.container("frontend")["Config"]["Image"]
    done = stack.engine.docker(
        "run", "--rm", "--network", network, "--entrypoint", "python", image, "-c", PROBE, host, str(port), check=False
    )
    return done.returncode == 0


@pytest.fixture(scope="module")
def cut_off(stack: Stack) -> Iterator[None]:
    """What is sent to Triton's network and finds no way there is refused here, and not sent out of this machine.

    A route of the engine to that network, which the stack must not have, would be preferred to this one.
    """
    [network] = stack.engine.container("triton")["NetworkSettings"]["Networks"]
    subnet = stack.engine.inspect(network)["IPAM"]["Config"][0]["Subnet"]
    route = ["unreachable", subnet, "metric", "4294967290"]
    subprocess.run(["ip", "route", "add", *route], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "route", "del", *route], check=True)


def test_the_request_of_the_readme_is_answered(stack: Stack) -> None:
    if shutil.which("curl") is None:
        skip_for_want_of("curl")
    [curl] = [
        block.code
        for block in blocks_of(REPOSITORY / "README.md")
        if block.language == "bash" and block.code.startswith("curl ")
    ]

    done = subprocess.run(
        ["bash", "-c", curl.replace("127.0.0.1:8000", f"127.0.0.1:{stack.port}")],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert [len(action) for action in json.loads(done.stdout)["actions"]] == [7] * 50


def test_only_the_frontend_and_the_control_plane_are_published_and_only_on_loopback(stack: Stack) -> None:
    published = {
        (service, container, binding["HostIp"])
        for service in SERVICES
        for container, bindings in stack.engine.container(service)["NetworkSettings"]["Ports"].items()
        for binding in bindings or ()
    }

    assert published == {("frontend", "8000/tcp", "127.0.0.1"), ("control", "8100/tcp", "127.0.0.1")}


@pytest.mark.usefixtures("cut_off")
@pytest.mark.parametrize("port", TRITON_PORTS)
def test_no_process_of_the_host_reaches_triton(stack: Stack, port: int) -> None:
    for address in stack.addresses("triton"):
        with pytest.raises(OSError, match=r"."), socket.create_connection((address, port), timeout=2):
            pass


@pytest.mark.usefixtures("cut_off")
@pytest.mark.parametrize("port", TRITON_PORTS)
def test_a_container_of_another_network_does_not_reach_triton(stack: Stack, port: int) -> None:
    [address] = stack.addresses("triton")

    assert not connects_from(stack, "bridge", address, port)


def test_a_container_of_tritons_own_network_reaches_grpc_and_metrics_but_not_http(stack: Stack) -> None:
    """So that the tests above could fail; and only the container itself needs HTTP."""
    [network] = stack.engine.container("triton")["NetworkSettings"]["Networks"]

    reached = {port for port in TRITON_PORTS if connects_from(stack, network, "triton", port)}

    assert reached == {8001, 8002}


@pytest.mark.parametrize("service", SERVICES)
def test_its_process_has_a_number_for_a_user_and_no_right_at_all(stack: Stack, service: str) -> None:
    status = dict(re.findall(r"^(\w+):\t(.*)$", in_container(stack, service, "cat", "/proc/1/status"), re.MULTILINE))

    assert status["Uid"].split() == ["10001"] * 4
    assert status["Gid"].split() == ["10001"] * 4
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize("service", SERVICES)
def test_the_engine_was_told_so_and_the_root_is_read_only(stack: Stack, service: str) -> None:
    container = stack.engine.container(service)
    host = container["HostConfig"]

    assert container["Config"]["User"] == "10001:10001"
    assert (host["ReadonlyRootfs"], host["Privileged"], host["CapAdd"], host["CapDrop"]) == (True, False, None, ["ALL"])
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["PidsLimit"] > 0
    assert [mount["Destination"] for mount in container["Mounts"] if mount["RW"]] in ([], ["/recordings"], ["/data"])


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("folder", ["/", "/opt/reflex", "/etc", "/usr/bin"])
def test_nothing_can_be_written_outside_of_the_temporary_folder(stack: Stack, service: str, folder: str) -> None:
    probe = f"touch {folder}/written 2>&1 && echo written || true"

    assert "Read-only file system" in in_container(stack, service, "sh", "-c", probe)


@pytest.mark.parametrize("service", ["frontend", "triton"])
def test_the_policies_cannot_be_changed(stack: Stack, service: str) -> None:
    assert "Read-only file system" in in_container(stack, service, "sh", "-c", "touch /models/written 2>&1 || true")


def test_the_control_plane_does_not_reach_triton(stack: Stack) -> None:
    networks = [set(stack.engine.container(each)["NetworkSettings"]["Networks"]) for each in ("control", "triton")]

    assert networks[0] & networks[1] == set()


def test_what_prometheus_is_told_to_scrape_answers(stack: Stack) -> None:
    configuration = (REPOSITORY / "observability" / "prometheus.yml").read_text(encoding="utf-8")
    targets = re.findall(r'targets: \["([\w.-]+:\d+)"\]', configuration)
    code = "import sys, urllib.request as r; print(r.urlopen('http://' + sys.argv[1] + '/metrics', timeout=5).status)"

    assert sorted(targets) == ["control:8100", "frontend:8000", "triton:8002"]
    for target in targets:
        assert in_container(stack, "frontend", "python", "-c", code, target).strip() == "200"


def test_a_killed_triton_comes_back_under_load_and_no_answer_is_wrong(stack: Stack) -> None:
    load = Load(stack)
    with load.running():
        wait_until(lambda: load.statuses.get(200), "the load is on")
        before = stack.engine.container("triton")
        os.kill(before["State"]["Pid"], signal.SIGKILL)
        started_at = before["State"]["StartedAt"]
        wait_until(lambda: stack.engine.container("triton")["State"]["StartedAt"] != started_at, "it is started again")
        took_s = stack.wait_ready(READY_AGAIN_S)
        answered = load.statuses.get(200, 0)
        wait_until(lambda: load.statuses[200] > answered, "requests are answered again")

    print(f"ready {took_s:.1f} s after the container was started again; {load.statuses}")
    assert stack.engine.container("triton")["RestartCount"] == before["RestartCount"] + 1
    assert load.statuses[200] > answered
    assert load.wrong == []
    assert load.errors == []
    assert set(load.statuses) <= {200, 503, 504}
    assert load.statuses[503] > 0


def test_a_killed_frontend_comes_back_too(stack: Stack) -> None:
    os.kill(stack.engine.container("frontend")["State"]["Pid"], signal.SIGKILL)

    stack.wait_ready(READY_AGAIN_S)

    with httpx.Client() as client:
        assert stack.act(client, 1).status_code == 200


def test_down_under_load_finishes_what_was_in_flight_and_is_quick(stack: Stack) -> None:
    load = Load(stack, ends_when_refused=True)
    with load.running():
        wait_until(lambda: load.statuses.get(200), "the load is on")
        started = time.monotonic()
        stack.engine.compose("stop")
        stopped_s = time.monotonic() - started
    codes = {service: stack.engine.container(service)["State"]["ExitCode"] for service in SERVICES}
    log = stack.engine.compose("logs", "--no-color", "--no-log-prefix", "frontend")
    stack.engine.compose("down")
    down_s = time.monotonic() - started

    print(f"stopped in {stopped_s:.1f} s; {load.statuses}, {len(load.errors)} clients refused at last")
    answering = [int(count) for count in re.findall(r'"answering": (\d+)[^\n]*"draining"', log)]
    assert answering[-1] > 0, "nothing was in flight when it was told to stop, so this proves nothing"
    assert "gave up on unanswered requests" not in log
    assert codes == dict.fromkeys(SERVICES, 0)
    assert load.wrong == []
    assert set(load.statuses) <= {200, 503}
    assert all("ReadTimeout" not in error for _, error in load.errors)
    assert down_s < DOWN_S
