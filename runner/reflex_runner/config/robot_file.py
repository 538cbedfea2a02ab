"""`load_robot_config`: a `robot.yaml` on disk as a `RobotConfig`, or one sentence about what is wrong in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from os import PathLike
from pathlib import Path
from typing import Any, Final

from reflex.errors import SetupError
from reflex.sdk.files import read_mapping
from reflex_runner.config.environment import read_environment
from reflex_runner.config.sections import (
    CameraConfig,
    HardwareConfig,
    LimitConfig,
    RecordingConfig,
    RobotConfig,
    SafetyConfig,
    SessionConfig,
    TargetConfig,
)
from reflex_runner.config.strict import nearest, parse_section

__all__ = ["load_robot_config", "parse_robot_config"]

SECTIONS: Final = ("session", "target", "hardware", "cameras", "safety", "recording")
HARDWARE_KINDS: Final = ("sim", "so101", "subprocess")
PATH_ENDINGS: Final = ("path", "file", "dir", "folder", "cwd")
"""A setting of hardware or of a camera that is called so, or `..._path`, is relative to the file."""
OURS: Final = frozenset({"state", "instruction", "prompt", "images", "image", "image_b64", "episode_id", "request_id",
                         "executed_steps", "actions"})  # fmt: skip


def load_robot_config(path: str | PathLike[str], environment: Mapping[str, str] | None = None) -> RobotConfig:
    """Read and check the file; `SetupError` names the key. REFLEX_NO_RECORD=1 of the environment records nothing."""
    file = Path(path)
    if not file.exists():
        raise SetupError(f"there is no {file.absolute()}; name yours, or write one: reflex connect --init so101")
    try:
        found = read_mapping(file)
        config = parse_robot_config(found, file.absolute().parent, file.absolute())
    except SetupError as exc:
        told = str(exc) if str(file) in str(exc) else f"{file}: {exc}"
        raise SetupError(told) from exc
    records = read_environment(environment).records
    return config if records else replace(config, recording=config.recording.off())


def parse_robot_config(given: Mapping[str, Any], folder: Path, path: Path | None = None) -> RobotConfig:
    """The settings as a `RobotConfig`; `folder` is what relative paths are relative to, `path` the file, if any."""
    if unknown := next((key for key in given if key not in SECTIONS), None):
        raise SetupError(f"no section is called {unknown!r}{nearest(str(unknown), SECTIONS)}")
    if given.get("hardware") is None:
        raise SetupError("there is no hardware: say which robot it is, like `hardware: {kind: sim}`")
    config = RobotConfig(
        hardware=_hardware(_section(given, "hardware"), folder),
        session=parse_section(SessionConfig, _section(given, "session"), "session"),
        target=parse_section(TargetConfig, _section(given, "target"), "target"),
        cameras={name: _camera(name, each, folder) for name, each in _section(given, "cameras").items()},
        safety=_safety(_section(given, "safety")),
        recording=_recording(_section(given, "recording"), folder),
        path=path,
    )
    _refuse_contradictions(config)
    return config


def _section(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section of which nothing but its name stands there is empty."""
    found = given.get(name)
    return _mapping({} if found is None else found, name)


def _mapping(found: object, where: str) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise SetupError(f"{where} must be a section of names and values, like `{where.rpartition('.')[2]}: {{...}}`")
    if other := next((key for key in found if not isinstance(key, str)), None):
        raise SetupError(f"{where}: {other!r} is no name; put it in quotes")
    return found


def _hardware(given: Mapping[str, Any], folder: Path) -> HardwareConfig:
    own = {name: value for name, value in given.items() if name != "kind"}
    told = {"kind": given["kind"]} if "kind" in given else {}
    hardware = parse_section(HardwareConfig, {**told, "settings": _with_paths(own, folder)}, "hardware")
    module, colon, rest = hardware.kind.partition(":")
    if hardware.kind not in HARDWARE_KINDS and not (colon and module and rest):
        near = nearest(hardware.kind, (*HARDWARE_KINDS, "lerobot:ROBOT_TYPE", "module:Class"))
        raise SetupError(f"hardware.kind: there is no robot of the kind {hardware.kind!r}{near}")
    return hardware


def _camera(name: str, found: object, folder: Path) -> CameraConfig:
    where = f"cameras.{name}"
    given = _mapping(found, where)
    if given.get("kind") == "sim":
        raise SetupError(
            f"{where}: the simulator brings its own cameras; name them by hardware.cameras, and leave this out"
        )
    shared = {each.name for each in fields(CameraConfig)} - {"settings"}
    own = {key: value for key, value in given.items() if key not in shared}
    told = {key: value for key, value in given.items() if key in shared}
    return parse_section(CameraConfig, {**told, "settings": _with_paths(own, folder)}, where)


def _safety(given: Mapping[str, Any]) -> SafetyConfig:
    limits = {
        name: parse_section(LimitConfig, _mapping(each, f"safety.limits.{name}"), f"safety.limits.{name}")
        for name, each in _mapping(given.get("limits") or {}, "safety.limits").items()
    }
    return parse_section(SafetyConfig, {**given, "limits": limits}, "safety")


def _recording(given: Mapping[str, Any], folder: Path) -> RecordingConfig:
    told = given.get("dir", "recordings")
    where = _under(folder, told).resolve() if isinstance(told, str) and told else told
    return parse_section(RecordingConfig, {**given, "dir": where}, "recording")


def _with_paths(settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {
        name: str(_under(folder, value)) if isinstance(value, str) and value and _is_path(name) else value
        for name, value in settings.items()
    }


def _is_path(name: str) -> bool:
    return name.rpartition("_")[2] in PATH_ENDINGS


def _under(folder: Path, told: str) -> Path:
    return folder / Path(told).expanduser()


def _refuse_contradictions(config: RobotConfig) -> None:
    session, target = config.session, config.target
    if session.robot_id is not None and session.deployment_id is None:
        raise SetupError("session.robot_id is given without a deployment_id: say under which deployment it is driven")
    if target.kind == "expert" and config.hardware.kind != "sim":
        raise SetupError("target.kind: the expert knows the simulator alone; use it with `hardware: {kind: sim}`")
    if taken := sorted(OURS & set(target.extra_payload)):
        raise SetupError(f"target.extra_payload: {taken[0]!r} is said by the runner itself; take it out")
    if "seed" in target.extra_payload and target.seed is not None:
        raise SetupError("target: the seed is given twice; take it out of extra_payload")
    own = (target.extra_payload, target.state_field, target.instruction_field)
    if target.kind == "stream" and (any(own) or target.seed is not None):
        raise SetupError(
            "target: a stream has no extra_payload, seed, state_field or instruction_field; take them out, "
            "or use kind act"
        )
