"""The private backend directory that Triton loads from, built once and reused by every later start.

    <cache>/reflex/embedded/<hash of the contents>/
        python/        the Python backend with the stub of the running Python
        onnxruntime/   our Python-based backend of that name
    <cache>/reflex/embedded/repositories/<hash>   a link to a model repository whose path Triton cannot take

Triton starts a stub through `bash -c "exec <stub> <model path> ..."` without quoting, so a path that Triton sees must
have no space or other character that a shell reads.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from reflex.errors import SetupError
from reflex.triton_wheel import STUB_FILE
from reflex_frontend.embedded.locate import Installation

__all__ = ["backend_directory", "cache_candidates", "cache_folder", "is_shell_safe", "shell_safe_repository"]

OWN_BACKENDS = Path(__file__).parent / "backends"
RTX_BACKEND = "tensorrt_rtx"
IMPORT_WATCHDOG = (
    b"import reflex_stub_watchdog  # ends this stub with its tritonserver; first, so that nothing is missed\n"
)
SAFE_PATH = re.compile(r"[A-Za-z0-9_./+@,:=-]+")


def cache_candidates(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Where the directory may lie, best first: the user's cache, else a folder of the user's in /tmp."""
    caches = [Path(environment["XDG_CACHE_HOME"])] if environment.get("XDG_CACHE_HOME") else []
    caches += [Path(environment["HOME"]) / ".cache"] if environment.get("HOME") else []
    temporary = Path(tempfile.gettempdir()) / f"reflex-{os.geteuid()}"
    return tuple(folder / "reflex" / "embedded" for folder in (*caches, temporary))


def cache_folder(candidates: Iterable[Path]) -> Path:
    """Make and return the first folder that Triton can load from; `SetupError` when there is none."""
    tried = []
    for folder in candidates:
        problem = _unusable(folder)
        if problem is None:
            return folder
        tried.append(f"{folder} ({problem})")
    raise SetupError(
        "no folder for the embedded Triton's backends: " + ", ".join(tried) + ". "
        "Set XDG_CACHE_HOME to a folder that is yours, on a file system without `noexec`, without spaces in its path"
    )


def backend_directory(installation: Installation, cache: Path) -> Path:
    """The directory for `--backend-directory`; blocks for some milliseconds, longer when it has to be built."""
    files = _files(installation)
    target = cache / _content_key(files, installation.stub)
    if not _complete(target, files):
        _build(target, files, installation.stub)
    return target


def shell_safe_repository(repository: Path, cache: Path) -> Path:
    """The repository's absolute path, or a link to it when the path has characters that Triton cannot take."""
    real = repository.absolute()
    if is_shell_safe(real):
        return real
    link = cache / "repositories" / hashlib.sha256(os.fsencode(real)).hexdigest()[:32]
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        temporary = link.with_name(f"{link.name}.{os.getpid()}")
        temporary.symlink_to(real, target_is_directory=True)
        temporary.replace(link)
    return link


def is_shell_safe(path: Path | str) -> bool:
    """Whether a shell reads the text as one plain word."""
    return SAFE_PATH.fullmatch(str(path)) is not None


def _files(installation: Installation) -> dict[str, bytes]:
    """Every file but the stub, by its path in the directory."""
    # Triton refuses a backend library that is a link out of the directory, so it is copied.
    names = ("libtriton_python.so", "triton_python_backend_utils.py")
    files = {f"python/{name}": (installation.backend / name).read_bytes() for name in names}
    for path in sorted((*OWN_BACKENDS.glob("*/*.py"), *OWN_BACKENDS.glob("*/*.sh"))):
        files[f"{path.parent.name}/{path.name}"] = path.read_bytes()
        # What was built for `tensorrt_rtx` has its graph beside it, which the same library compiles for this card.
        files[f"{RTX_BACKEND}/{path.name}"] = path.read_bytes()
    return files


def _content_key(files: Mapping[str, bytes], stub: Path) -> str:
    digest = hashlib.sha256(os.fsencode(stub))
    for name, content in sorted(files.items()):
        digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest()[:32]


def _complete(target: Path, files: Mapping[str, bytes]) -> bool:
    """Whether every file still has its size; the name already says what they held when they were written."""
    stub = target / "python" / STUB_FILE
    try:
        return stub.exists() and all((target / name).stat().st_size == len(files[name]) for name in files)
    except OSError:
        return False


def _build(target: Path, files: Mapping[str, bytes], stub: Path) -> None:
    """Write everything beside the target, then rename: another process sees all of it or nothing."""
    with tempfile.TemporaryDirectory(prefix=".building-", dir=target.parent) as scratch:
        fresh = Path(scratch) / "backends"
        for name, content in files.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_bytes(content)
        # A link, not a copy: the stub finds Triton's libraries relative to where it really lies.
        (fresh / "python" / STUB_FILE).symlink_to(stub)
        if target.exists() and not _complete(target, files):
            shutil.rmtree(target, ignore_errors=True)
        try:
            fresh.rename(target)
        except OSError:
            # Another process was faster, with the same contents.
            if not _complete(target, files):
                raise


def _unusable(folder: Path) -> str | None:
    """What speaks against a folder, or None. Makes it, readable and writable for its owner alone."""
    if not is_shell_safe(folder):
        return "its path has a space or a special character"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        return exc.strerror or "cannot be made"
    top = folder.parent.parent
    for part in (folder, folder.parent, *([top] if top.name.startswith("reflex-") else [])):
        owner = part.lstat()
        if owner.st_uid != os.geteuid() or stat.S_ISLNK(owner.st_mode) or owner.st_mode & stat.S_IWOTH:
            return f"{part} is not a folder of this user alone"
    if not os.access(folder, os.W_OK):
        return "not writable"
    return "mounted noexec" if os.statvfs(folder).f_flag & os.ST_NOEXEC else None
