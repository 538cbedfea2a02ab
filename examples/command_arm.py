"""A robot behind a command: one line of JSON in, one line out. Any language can do this; nothing of Reflex is imported.

Named in command_arm.yaml. By hand:

    echo '{"op": "observe", "seq": 1}' | python3 examples/command_arm.py
"""

import json
import sys
import time

positions = [0.0] * 6  # stands for your motors


def answer(request: dict) -> dict:
    if request["op"] == "observe":
        return {"state": positions, "captured_s": time.monotonic()}
    if request["op"] == "apply":
        positions[:] = request["actions"][-1]  # send, and return at once
    elif request["op"] == "safe_stop":
        print("stopped:", request["reason"], file=sys.stderr)  # stderr is the log
    return {"ok": True}


for line in sys.stdin:  # until Reflex closes it
    request = json.loads(line)
    try:
        said = answer(request)
    except Exception as error:  # noqa: BLE001  # told to the operator, and the robot is stopped
        said = {"error": str(error)}
    print(json.dumps({**said, "seq": request["seq"]}), flush=True)
