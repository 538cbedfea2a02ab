"""Ask the control plane: deployments, sessions, robots, receipts, models and keys.

    from reflex.control import ControlClient

    with ControlClient("http://127.0.0.1:8100", api_key=key) as client:
        for robot in client.list_robots()["robots"]:
            print(robot["name"], robot["online"])

`AsyncControlClient` is the same with `await`. Errors are in `reflex.control.errors` and `reflex.errors`.
"""

from reflex.control.aio import AsyncControlClient
from reflex.control.blocking import ControlClient

__all__ = ["AsyncControlClient", "ControlClient"]
