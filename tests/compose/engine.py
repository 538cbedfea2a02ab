"""A Docker engine, Compose and a base image for the tests, on a machine that may have none of them.

What is there is used. What is missing comes from Debian's packages, which needs root; no image is ever pulled.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from support.server import free_port
from support.skips import skip_for_want_of
from support.waiting import let_pass

__all__ = ["BUILT", "REPOSITORY", "TAG", "Engine", "running_engine"]

REPOSITORY: Final = Path(__file__).parents[2]
PROJECT: Final = "reflex-test"
TAG: Final = "test"
OURS: Final = {"REFLEX_TAG": TAG, "REFLEX_CONTROL_PORT": str(free_port())}
BUILT: Final = ("frontend", "control", "triton", "export", "engines-rtx")
ENGINE_PACKAGES: Final = ("docker.io", "debootstrap", "iptables", "ca-certificates")
BASE_PACKAGES: Final = "ca-certificates,python3-minimal,python3-venv,libpython3.11,libstdc++6"
BASE_SUITE: Final = "bookworm"
COMPOSE_SUITE: Final = "trixie"
"""The first Debian release with Docker Compose 2."""
ENGINE_START_S: Final = 30.0


@dataclass(frozen=True)
class Engine:
    """Runs `docker` with the environment of the tests."""

    environment: Mapping[str, str]

    def docker(self, *arguments: str, check: bool = True, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Fails with both outputs when the exit code is not 0, unless told that it may."""
        done = subprocess.run(
            ["docker", *arguments],
            cwd=REPOSITORY, env=self.environment, capture_output=True, text=True, timeout=timeout_s,
        )  # fmt: skip
        assert done.returncode == 0 or not check, f"docker {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done

    def compose(self, *arguments: str, check: bool = True, timeout_s: float = 120) -> str:
        done = self.docker("compose", "--project-name", PROJECT, *arguments, check=check, timeout_s=timeout_s)
        return done.stdout + done.stderr

    def inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.docker("inspect", name).stdout)[0]
        return found

    def container(self, service: str) -> dict[str, Any]:
        """What `docker inspect` says about a service's container."""
        return self.inspect(f"{PROJECT}-{service}-1")

    def with_environment(self, **variables: str) -> Engine:
        return Engine({**self.environment, **variables})


@contextlib.contextmanager
def running_engine() -> Iterator[Engine]:
    """The machine's own engine, or one that is started here and stopped again; skips where neither can be."""
    with tempfile.TemporaryDirectory(prefix="reflex-compose-") as folder:
        engine = Engine({**os.environ, **_packages_of_this_machine(Path(folder)), **OURS})
        with contextlib.ExitStack() as started:
            if shutil.which("docker") is None or engine.docker("info", check=False).returncode != 0:
                _install(ENGINE_PACKAGES)
                started.enter_context(_daemon(engine, Path(folder)))
            engine = _with_compose(engine, Path(folder))
            yield engine.with_environment(BASE_IMAGE=os.environ.get("BASE_IMAGE") or _base_image(engine, Path(folder)))


def _install(packages: Sequence[str]) -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        skip_for_want_of("Docker", "and installing an engine needs root on Debian or Ubuntu")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run("apt-get", "update", "--quiet", environment=quiet)
    _run("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages, environment=quiet)


@contextlib.contextmanager
def _daemon(engine: Engine, folder: Path) -> Iterator[None]:
    log = folder / "dockerd.log"
    with log.open("wb") as output:
        daemon = subprocess.Popen(["dockerd"], stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        started = time.monotonic()
        while engine.docker("info", check=False).returncode != 0:
            if daemon.poll() is not None or time.monotonic() - started > ENGINE_START_S:
                skip_for_want_of("Docker", f"whose engine cannot run here: {log.read_text(errors='replace')[-2000:]}")
            let_pass(0.2)
        yield
    finally:
        daemon.terminate()
        daemon.wait(30)


def _with_compose(engine: Engine, folder: Path) -> Engine:
    """Compose 2 as the docker command's plugin; Debian's package of it runs on older releases, too."""
    if engine.docker("compose", "version", check=False).returncode == 0:
        return engine
    plugins = folder / "docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    package = _download("docker-compose", folder / "apt")
    _run("dpkg-deb", "--extract", str(package), str(folder / "compose"))
    [binary] = (folder / "compose").rglob("cli-plugins/docker-compose")
    shutil.copy(binary, plugins / binary.name)
    (plugins / binary.name).chmod(0o755)
    return engine.with_environment(DOCKER_CONFIG=str(plugins.parent))


def _download(package: str, folder: Path) -> Path:
    """A package of another release, without touching what this machine installs from."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    sources = folder / "sources.list"
    sources.write_text(f"deb {_mirror()} {COMPOSE_SUITE} main\n")
    options = (
        f"Dir::Etc::SourceList={sources}", "Dir::Etc::SourceParts=-",
        f"Dir::State::Lists={folder / 'lists'}", f"Dir::Cache={folder / 'cache'}", "APT::Sandbox::User=root",
    )  # fmt: skip
    apt = ["apt-get", "--quiet", *(word for option in options for word in ("-o", option))]
    _run(*apt, "update")
    _run(*apt, "download", package, folder=folder)
    [found] = folder.glob("*.deb")
    return found


def _base_image(engine: Engine, folder: Path) -> str:
    """Debian with Python, as small as it gets; kept by the engine for the next time."""
    name = f"reflex-base:{BASE_SUITE}"
    if engine.docker("image", "inspect", name, check=False).returncode == 0:
        return name
    if shutil.which("debootstrap") is None:
        _install(("debootstrap",))
    root = folder / "base"
    _run("debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", BASE_SUITE, str(root), _mirror())
    for waste in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"):
        shutil.rmtree(root / waste, ignore_errors=True)
        (root / waste).mkdir(parents=True)
    archive = folder / "base.tar"
    _run("tar", "--create", "--directory", str(root), "--file", str(archive), ".")
    engine.docker("import", str(archive), name)
    return name


def _mirror() -> str:
    """Where this machine has Debian's main archive from."""
    listing = _run("apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages")
    addresses = dict(line.split() for line in reversed(listing.splitlines()))
    if BASE_SUITE not in addresses:
        skip_for_want_of("Docker", f"and this machine does not install from Debian {BASE_SUITE}, the base image")
    return addresses[BASE_SUITE].rstrip("/")


def _packages_of_this_machine(folder: Path) -> dict[str, str]:
    """pip inside the builds gets packages from where this machine's pip does; only as secrets of the builds."""
    listed = json.loads(_run(sys.executable, "-c", _PIP_SETTINGS))
    lines = [f"{name} = {value}" for name, value in listed.items() if not value.startswith(("file:", "/"))]
    variables = {}
    if Path(listed.get("cert", "")).is_file():
        lines.append("cert = /etc/ssl/reflex-ca.pem")
        variables["PIP_CA"] = listed["cert"]
    (folder / "pip.conf").write_text("\n".join(["[global]", *lines, ""]))
    return {**variables, "PIP_CONF": str(folder / "pip.conf")}


_PIP_SETTINGS: Final = """
import json, subprocess, sys
listing = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
pairs = (line.partition("=") for line in listing.splitlines())
wanted = ("index-url", "cert", "timeout", "trusted-host", "proxy")
print(json.dumps({key.split(".")[-1]: value.strip("'") for key, _, value in pairs if key.split(".")[-1] in wanted}))
"""


def _run(*command: str, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> str:
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout
