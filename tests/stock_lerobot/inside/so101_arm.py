"""LeRobot's own driver on an SO-101: `so101_arm.py PORT CALIBRATIONS [--percent]`. Prints what it read as JSON.

It connects as LeRobot does, observes, sends one action, observes when the arm has arrived, and disconnects.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from lerobot.robots.so_follower import SO101Follower, SO101FollowerConfig

ACTION = (10, -20, 30, 40, -50, 80)
ARRIVES_S = 30.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("calibrations", type=Path)
    parser.add_argument("--percent", action="store_true")
    given = parser.parse_args()
    config = SO101FollowerConfig(
        port=given.port, id="left", calibration_dir=given.calibrations, use_degrees=not given.percent
    )
    arm = SO101Follower(config)
    arm.connect(calibrate=False)
    told: dict[str, Any] = {"is_calibrated": arm.is_calibrated}
    arm.send_action({f"{motor}.pos": value for motor, value in zip(arm.bus.motors, ACTION, strict=True)})
    told["goals"] = raw(arm, "Goal_Position")
    until = time.monotonic() + ARRIVES_S
    while raw(arm, "Present_Position") != told["goals"] and time.monotonic() < until:
        pass
    told["after"] = [float(value) for value in arm.get_observation().values()]
    told["registers"] = {name: raw(arm, name) for name in REGISTERS}
    arm.disconnect()
    print(json.dumps(told))


REGISTERS = ("Homing_Offset", "Min_Position_Limit", "Max_Position_Limit", "P_Coefficient", "I_Coefficient",
             "D_Coefficient", "Return_Delay_Time", "Acceleration", "Max_Torque_Limit", "Present_Position",
             "Present_Voltage", "Present_Temperature", "Present_Load", "Model_Number")  # fmt: skip


def raw(arm: SO101Follower, register: str) -> list[int]:
    return list(arm.bus.sync_read(register, normalize=False).values())


if __name__ == "__main__":
    main()
