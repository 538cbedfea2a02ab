"""Programs of the user's that are the robot: started, asked line by line in JSON, and ended with all that they started.

`subprocess` and `lerobot` are made of it. docs/your-own-robot.md has the protocol, `protocol.schema.json` its schema.
"""

from __future__ import annotations
