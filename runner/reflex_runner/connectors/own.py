"""`hardware.kind: module:Class`: a robot of the user's own, from a file beside robot.yaml or from Python's path."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from reflex.connector import Connector
from reflex.errors import ReflexError, SetupError
from reflex_runner.connectors.nearest import nearest

__all__ = ["METHODS", "build"]

METHODS: Final = ("start", "get_observation", "apply_action", "safe_stop", "stop")


def build(kind: str, cfg: Mapping[str, Any], folder: Path) -> Connector:
    """An object of the class, which gets its part of robot.yaml as keyword arguments."""
    module_name, _, class_name = kind.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), *class_name.split("."))):
        raise SetupError(f"hardware.kind: {kind!r} is no module:Class; write it as my_arm:MyArm for my_arm.py")
    found = _class_in(_import(module_name, folder), class_name)
    _refuse_incomplete(found, kind)
    _refuse_unfit(found, cfg, class_name)
    try:
        made: Connector = found(**cfg)
    except ReflexError:
        raise
    except Exception as exc:
        raise SetupError(f"hardware: {class_name} could not be made: {_told(exc, folder)}") from exc
    return made


def _import(name: str, folder: Path) -> ModuleType:
    """The file beside robot.yaml wins over an installed module, as that beside a program does."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not (name == exc.name or name.startswith(f"{exc.name}.")):
            raise SetupError(f"hardware.kind: {name} cannot be imported: {_told(exc, folder)}") from exc
        files = [path.stem for path in folder.glob("*.py")]
        here = f"; the files there are {', '.join(sorted(files))}" if files else ""
        raise SetupError(
            f"hardware.kind: no module {name!r} in {folder} or on Python's path{nearest(name, files, here)}"
        ) from exc
    except (Exception, SystemExit) as exc:
        raise SetupError(f"hardware.kind: {name} cannot be imported: {_told(exc, folder)}") from exc
    _refuse_another(module, name, folder)
    return module


def _refuse_another(module: ModuleType, name: str, folder: Path) -> None:
    """A module of that name was imported before, from elsewhere: the user's own file would never be read."""
    beside = folder / f"{name}.py"
    if beside.is_file() and Path(module.__file__ or "").resolve() != beside.resolve():
        raise SetupError(f"hardware.kind: {beside} has the name of another module, {module.__name__}; rename the file")


def _class_in(module: ModuleType, name: str) -> type:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type):
        return found
    classes = [each for each, value in vars(module).items() if isinstance(value, type) and not each.startswith("_")]
    said = f"; its classes are {', '.join(classes)}" if classes else "; it has no class at all"
    raise SetupError(f"hardware.kind: {module.__name__} has no class {name!r}{nearest(name, classes, said)}")


def _refuse_incomplete(found: type, kind: str) -> None:
    missing = [name for name in METHODS if not callable(getattr(found, name, None))]
    if missing:
        raise SetupError(
            f"hardware.kind: {kind} is no connector, for it has no {', '.join(missing)}; "
            f"the five methods are {', '.join(METHODS)} (see reflex.connector.Connector)"
        )
    for name, given in (("apply_action", (None, None)), ("safe_stop", (None, "")), ("safe_stop", (None,))):
        try:
            inspect.signature(getattr(found, name)).bind(*given)
        except TypeError as exc:
            wanted = {"apply_action": "apply_action(chunk)", "safe_stop": 'safe_stop(reason="")'}[name]
            raise SetupError(f"hardware.kind: {kind}: it must be possible to call {wanted}: {exc}") from exc


def _refuse_unfit(found: type, cfg: Mapping[str, Any], name: str) -> None:
    """A setting that the constructor does not take is the user's slip, and no error of their program."""
    try:
        signature = inspect.signature(found)
    except ValueError:  # a class of C without one
        return
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values())
    unknown = [str(key) for key in cfg if key not in signature.parameters]
    if unknown and not takes_all:
        known = list(signature.parameters)
        takes = f"; it takes {', '.join(known)}" if known else "; it takes none"
        raise SetupError(f"hardware: {name} takes no setting {unknown[0]!r}{nearest(unknown[0], known, takes)}")
    try:
        signature.bind(**cfg)
    except TypeError as exc:
        raise SetupError(f"hardware: {name}: {exc}; its settings stand beside kind") from exc


def _told(exc: BaseException, folder: Path) -> str:
    """`ValueError: no such port (my_arm.py, line 12, in __init__)`: where in the user's files it was raised."""
    said = "".join(traceback.format_exception_only(exc)).strip().splitlines()[-1]
    frames = traceback.extract_tb(exc.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)] or _outside_ours(frames)
    if isinstance(exc, SyntaxError) or not own:
        return (
            f"{said} ({Path(exc.filename).name}, line {exc.lineno})"
            if isinstance(exc, SyntaxError) and exc.filename
            else said
        )
    return f"{said} ({Path(own[-1].filename).name}, line {own[-1].lineno}, in {own[-1].name})"


def _outside_ours(frames: traceback.StackSummary) -> list[traceback.FrameSummary]:
    """A class from Python's path: every file but this one and the import machinery."""
    return [frame for frame in frames if frame.filename != __file__ and "importlib" not in frame.filename]
