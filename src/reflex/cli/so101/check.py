"""`reflex so101 check`: whether the arm is well and complete."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reflex.cli.options import JsonOption
from reflex.cli.so101.options import CalibrationOption, EmbodimentOption, IdOption, PortOption, opened_bus, port_of
from reflex.console import EXIT_FAILED, print_json, reported_errors, say, show

if TYPE_CHECKING:
    from reflex_runner.so101.bus import Bus
    from reflex_runner.so101.calibration import Calibration

__all__ = ["check"]


def check(
    *,
    port: PortOption = None,
    name: IdOption = None,
    calibration: CalibrationOption = None,
    embodiment: EmbodimentOption = "so101",
    as_json: JsonOption = False,
) -> None:
    """Read what can be known of the arm: motors, voltage, temperature, calibration. Writes and moves nothing.

    Exit code 1 when something keeps a run from beginning.

    Example:

    \b
      reflex so101 check
    """
    with reported_errors(as_json=as_json):
        at = port_of(port)
        with opened_bus(at) as bus:
            report = {"port": at, **_report(bus, calibration, name, embodiment)}
    if as_json:
        print_json(report)
    else:
        _show(report)
    if not report["ok"]:
        raise typer.Exit(EXIT_FAILED)


def _report(bus: Bus, file: Path | None, name: str | None, embodiment: str) -> dict[str, Any]:
    from reflex_runner.so101.examination import examine
    from reflex_runner.so101.preparing import changes_wanted

    calibration, told, problems = _calibration(file, name)
    examination = examine(bus, calibration)
    problems += [{"error": problem.code, "message": str(problem)} for problem in examination.problems]
    changes = sorted({f"{change.register.name} of motor {change.id}" for change in changes_wanted(bus)})
    motors = _motors(bus, calibration, embodiment)
    return {"ok": not problems, **told, "problems": problems, "motors": motors, "set_up_by_a_run": changes}


def _calibration(
    file: Path | None, name: str | None
) -> tuple[Calibration | None, dict[str, Any], list[dict[str, str]]]:
    """Without one the rest can still be looked at."""
    from reflex_runner.so101.calibration import read_calibration
    from reflex_runner.so101.errors import CalibrationError
    from reflex_runner.so101.places import Places

    try:
        path = file or Places.here().calibration(name)
        calibration = read_calibration(path)
    except CalibrationError as error:
        return None, {"calibration": None, "calibration_id": None}, [{"error": error.code, "message": str(error)}]
    return calibration, {"calibration": str(path), "calibration_id": calibration.calibration_id}, []


def _motors(bus: Bus, calibration: Calibration | None, embodiment: str) -> list[dict[str, Any]]:
    from reflex_runner.so101 import registers
    from reflex_runner.so101.registers import MOTORS, SENSED, sensed
    from reflex_runner.so101.units import scale_for

    answers = bus.read_all(*SENSED)
    steps = [sensed(registers.PRESENT_POSITION, answer.params) for answer in answers.values()]
    state = [None] * len(steps) if calibration is None else scale_for(embodiment, calibration)[0].state(steps).tolist()
    return [
        {
            "id": id_,
            "name": MOTORS[id_],
            "position": value if value is None else round(value, 2),
            "steps": step,
            "voltage": sensed(registers.PRESENT_VOLTAGE, answer.params) / 10,
            "temperature": sensed(registers.PRESENT_TEMPERATURE, answer.params),
            "torque": bool(sensed(registers.TORQUE_ENABLE, answer.params)),
            "faults": answer.error,
        }
        for (id_, answer), step, value in zip(answers.items(), steps, state, strict=True)
    ]


def _show(report: dict[str, Any]) -> None:
    show(f"port         {report['port']}")
    show(f"calibration  {report['calibration'] or 'none'}")
    for motor in report["motors"]:
        where = "" if motor["position"] is None else f"{motor['position']:8.2f}"
        torque = "on" if motor["torque"] else "off"
        show(
            f"{motor['id']}  {motor['name']:<13} {where}  step {motor['steps']:>5}  {motor['voltage']:.1f} V  "
            f"{motor['temperature']} C  torque {torque}"
        )
    if report["set_up_by_a_run"]:
        say(f"a run that moves the arm sets {len(report['set_up_by_a_run'])} registers before: see --json")
    for problem in report["problems"]:
        say(f"reflex: {problem['message']}")
    say("well and complete" if report["ok"] else f"{len(report['problems'])} problems")
