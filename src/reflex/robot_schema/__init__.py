"""Robot schemas: what one kind of robot is, from which limits, cameras and stop ladder of its sessions follow.

The fields of an embodiment (reflex.embodiments), `cameras`, `safe_stop`, and `simulation`. Safety fails closed: a
schema that is incomplete, contradicts itself, or that two readers could understand differently is a `SetupError`.
"""

from reflex.robot_schema.disagreement import disagreements
from reflex.robot_schema.parsing import parse_robot_schema
from reflex.robot_schema.schema import Camera, RobotSchema, SafeStop

__all__ = ["Camera", "RobotSchema", "SafeStop", "disagreements", "parse_robot_schema"]
