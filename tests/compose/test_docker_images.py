"""What is in the images, and what is not."""

from __future__ import annotations

import pytest

from compose.engine import REPOSITORY, Engine

IMAGES = (
    "reflex-frontend:test",
    "reflex-control:test",
    "reflex-triton-cpu:test",
    "reflex-export:test",
    "reflex-engines-rtx:test",
)
MEGABYTE = 1_000_000
MOST_MB = {"reflex-frontend:test": 350, "reflex-control:test": 250}
COMPILERS = ("cc", "gcc", "g++", "c++", "clang", "tcc", "ld", "as", "make", "nvcc", "rustc", "go")
SECRETS = (
    ".env*",
    "pip.conf",
    ".netrc",
    ".git*",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "*.key",
    ".npmrc",
    ".pypirc",
    "reflex-ca.pem",
)


def shell(engine: Engine, image: str, script: str) -> list[str]:
    """What a root shell in the image prints."""
    done = engine.docker("run", "--rm", "--network", "none", "--user", "0", "--entrypoint", "sh", image, "-c", script)
    return done.stdout.split()


def test_what_is_always_there_is_small(engine: Engine) -> None:
    sizes = {image: engine.inspect(image)["Size"] / MEGABYTE for image in IMAGES}
    print("".join(f"\n{image}: {size:.0f} MB" for image, size in sizes.items()))

    assert {image: size for image, size in sizes.items() if size >= MOST_MB.get(image, size + 1)} == {}


@pytest.mark.parametrize("image", IMAGES)
def test_no_compiler_and_no_pip_came_with_us(engine: Engine, image: str) -> None:
    assert shell(engine, image, f"for name in {' '.join(COMPILERS)}; do command -v $name; done; true") == []
    assert shell(engine, image, "find /opt/reflex -name pip; find / -xdev -path '*/tools/bin/pip'") == []


@pytest.mark.parametrize("image", IMAGES)
def test_no_cache_is_left(engine: Engine, image: str) -> None:
    folders = (
        "$HOME/.cache $HOME/.local /var/cache/apt/archives/*.deb /var/lib/apt/lists/*Packages* /build /wheel /tools"
    )

    assert shell(engine, image, f"HOME=$(getent passwd 0 | cut -d: -f6); ls -d {folders} 2>/dev/null; true") == []


@pytest.mark.parametrize("image", IMAGES)
def test_no_secret_is_in_a_file_or_in_the_history(engine: Engine, image: str) -> None:
    names = " -o ".join(f"-name '{name}'" for name in SECRETS)
    found = shell(
        engine, image, f"find / -xdev -type f \\( {names} \\) -size +0 -not -path '/usr/*' -not -path '/etc/*'"
    )
    history = engine.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).stdout
    environment = engine.inspect(image)["Config"]["Env"]

    assert [path for path in found if "/.gitkeep" not in path] == []
    assert "http" not in history.replace("http://127.0.0.1", "").replace("--http-address", "")
    assert [line for line in environment if any(word in line.upper() for word in ("TOKEN", "SECRET", "PASSWORD"))] == []


@pytest.mark.parametrize("image", IMAGES)
def test_the_process_is_nobody_of_the_host(engine: Engine, image: str) -> None:
    assert engine.inspect(image)["Config"]["User"] == "10001:10001"


@pytest.mark.parametrize("name", ["frontend", "control"])
def test_what_is_installed_is_what_is_locked(engine: Engine, name: str) -> None:
    code = (
        "import importlib.metadata as m; print('\\n'.join(f'{d.name.lower()}=={d.version}' for d in m.distributions()))"
    )
    done = engine.docker(
        "run", "--rm", "--network", "none", "--entrypoint", "python", f"reflex-{name}:test", "-c", code
    )
    locked = (REPOSITORY / "requirements" / f"{name}.txt").read_text(encoding="utf-8").lower()
    installed = [line.replace("_", "-") for line in done.stdout.split() if not line.startswith("reflex")]

    assert [name for name in installed if name not in locked] == []


def test_the_frontend_checks_signatures_with_what_it_holds(engine: Engine) -> None:
    code = (
        "from reflex.signed.signing import Keyset, SigningKey; key = SigningKey.generate('k'); "
        "keyset = Keyset.of([key.as_public()]); signature = key.sign(b'x'); "
        "print(keyset.verify('k', b'x', signature), keyset.verify('k', b'y', signature))"
    )
    done = engine.docker("run", "--rm", "--network", "none", "--entrypoint", "python", IMAGES[0], "-c", code)

    assert done.stdout.split() == ["True", "False"]
