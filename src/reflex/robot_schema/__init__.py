"""Robot schemas: what one kind of robot is, from which limits, cameras and stop ladder of its sessions follow.

The fields of an embodiment (reflex.embodiments), `cameras`, `safe_stop`, and `simulation`. Safety fails closed: a
schema that is incomplete, contradicts itself, or that two readers could understand differently is a `SetupError`.
"""

from reflex.robot_schema.disagreement import disagreements
from reflex.robot_schema.parsing import parse_robot_schema
from reflex.robot_schema.schema import LADDER, Camera, RobotSchema, SafeStop, Step

__all__ = ["LADDER", "Camera", "RobotSchema", "SafeStop", "Step", "disagreements", "parse_robot_schema"]
