"""`reflex so101 find`: which serial port has the arm."""

from __future__ import annotations

from dataclasses import asdict

from reflex.cli.options import JsonOption
from reflex.console import print_json, reported_errors, say, show

__all__ = ["find"]


def find(*, as_json: JsonOption = False) -> None:
    """Ask the serial adapters on USB, then ports of common names, whether all six servos are there. Nothing moves.

    Example:

    \b
      reflex so101 find
    """
    with reported_errors(as_json=as_json):
        from reflex_runner.so101.line import stable_name
        from reflex_runner.so101.search import choose_port, look_at_ports, serial_ports

        asked = look_at_ports(serial_ports())
        port = stable_name(choose_port(asked))
    if as_json:
        print_json({"port": port, "candidates": [asdict(one) | {"has_arm": one.has_arm} for one in asked]})
        return
    show(port)
    for candidate in asked:
        say(f"{candidate.port}: {candidate.finding}")
