"""Robot schemas: what one kind of robot is, from which limits, cameras and stop ladder of its sessions follow.

The fields of an embodiment (reflex.embodiments), `cameras`, `safe_stop`, and `simulation`. Safety fails closed: a
schema that is incomplete, contradicts itself, or that two readers could understand differently is a `SetupError`.
"""
