"""What the chart's containers call in Reflex's images: commands that there are, run for real as the pods run them.

What differs from a pod: TensorRT is TensorRT for RTX, which needs no GPU, and the paths are this machine's.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup

from docs.commands import built_once
from helm.chart import CHART, Manifest, containers_of, merged, only, pod_specs, render
from helm.pairwise import Row
from helm.table import ENGINES, rows, values_of
from integration.engine_builds import copy_of_demo
from reflex.cli import app
from reflex.shared_engines import current_engines
from support.server import running_server

TIMEOUT_S = 90.0
OF_REFLEX = (["reflex"], ["python3", "-m", "reflex.cli"])
"""How a command begins in the frontend's image, and in the one that builds engines, which has no script `reflex`."""
BUILT = merged(ENGINES, {"policy": "demo", "auth": {"insecure": True}})


def arguments_of(container: Manifest) -> list[str] | None:
    """What `reflex` is told; None for a container that calls something else."""
    words = [*container.get("command", []), *container.get("args", [])]
    for start in OF_REFLEX:
        if words[: len(start)] == start:
            return words[len(start) :]
    return None


def commands_of(release: list[Manifest]) -> Iterator[list[str]]:
    for spec in pod_specs(release).values():
        for container in containers_of(spec).values():
            arguments = arguments_of(container)
            if arguments is not None:
                yield arguments


def run(container: Manifest, places: Mapping[str, str], **changed: str) -> subprocess.CompletedProcess[str]:
    """The container's command with paths of this machine, and with other values of some `--name=value`."""
    words = arguments_of(container)
    assert words is not None
    for name, value in changed.items():
        words = [f"--{name}={value}" if word.startswith(f"--{name}=") else word for word in words]
    for path, place in places.items():
        words = [word.replace(path, place) for word in words]
    command = [sys.executable, "-m", "reflex.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def test_the_chart_carries_no_program() -> None:
    texts = [path.read_text(encoding="utf-8") for path in CHART.rglob("*") if path.is_file()]

    assert list(CHART.rglob("*.py")) == []
    assert [text for text in texts if "import " in text and "python" in text] == []


@pytest.mark.parametrize("row", rows(), ids=str)
def test_every_command_and_option_that_the_chart_uses_is_there(row: Row) -> None:
    commands = list(commands_of(render(values_of(row))))

    assert ["serve"] in commands
    assert [unknown_in(arguments) for arguments in commands] == [[] for _ in commands]


def unknown_in(arguments: list[str]) -> list[str]:
    """A command, or options of one, that `reflex` does not have."""
    command: object = built_once(app)
    while isinstance(command, TyperGroup):
        name, *arguments = arguments
        if name not in command.commands:
            return [name]
        command = command.commands[name]
    assert isinstance(command, TyperCommand)
    known = {name for parameter in command.params for name in parameter.opts}
    return [word for word in arguments if word.startswith("--") and word.partition("=")[0] not in known]


def test_a_command_or_an_option_that_is_not_there_would_be_seen() -> None:
    assert unknown_in(["engines", "wait", "/engines", "--shelf=/engines", "--timeout=1"]) == ["--shelf=/engines"]
    assert unknown_in(["engines", "fetch"]) == ["fetch"]


@pytest.mark.slow
def test_the_job_builds_where_the_pod_waits(tmp_path: Path) -> None:
    release = render(BUILT)
    job = containers_of(only(release, "Job")["spec"]["template"]["spec"])["engines"]
    waiting = containers_of(only(release, "Deployment")["spec"]["template"]["spec"])["wait-for-engines"]
    link = tmp_path / "repository"
    places = {"/source": str(copy_of_demo(tmp_path)), "/engines": str(tmp_path / "engines")}
    places["/models/repository"] = str(link)

    too_early = run(waiting, places, timeout="0.1")
    built = run(job, places, engine="tensorrt-rtx")
    served = run(waiting, places)

    assert (too_early.returncode, built.returncode, served.returncode) == (1, 0, 0), built.stderr + served.stderr
    assert "waiting for job/cell-reflex-engines: " in too_early.stderr
    assert "see: kubectl logs job/cell-reflex-engines" in too_early.stderr
    [shelf] = (tmp_path / "engines" / "default").iterdir()
    assert link.resolve() == current_engines(shelf)
    assert (link / "demo_denoise" / "1" / "model.plan").is_file()


@pytest.mark.slow
def test_a_restarted_init_container_copies_the_demo_policy_again(tmp_path: Path) -> None:
    container = containers_of(only(render(), "Deployment")["spec"]["template"]["spec"])["model-repository"]
    places = {"/models/repository": str(tmp_path)}

    assert [run(container, places).returncode for _ in range(2)] == [0, 0]
    assert (tmp_path / "demo" / "reflex_config.json").is_file()


@pytest.mark.slow
def test_the_helm_test_passes_on_a_server_that_answers() -> None:
    with running_server() as server:
        done = run(asking(), {"http://cell-reflex:8000": server.base_url})

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"passed: {server.base_url} answers /act")


@pytest.mark.slow
def test_the_helm_test_fails_with_a_sentence_where_nobody_listens() -> None:
    done = run(asking(), {"http://cell-reflex:8000": "http://127.0.0.1:9"})

    assert (done.returncode, done.stdout) == (1, "")
    assert "127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_helm_test_gets_its_key_where_the_command_looks_for_it() -> None:
    values = {"auth": {"existingSecret": "keys"}, "tests": {"apiKeySecret": "one"}}
    [variable] = asking(values)["env"]

    assert variable["name"] == "REFLEX_API_KEY"
    assert variable["valueFrom"] == {"secretKeyRef": {"name": "one", "key": "api-key"}}


def asking(values: Mapping[str, object] | None = None) -> Manifest:
    """The one container of `helm test`."""
    [container] = pod_specs(render(values))["Pod/cell-reflex-test"]["containers"]
    found: Manifest = container
    return found
