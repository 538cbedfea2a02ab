"""Between an Aloha robot's joints and grippers and the space that the pi models were trained in.

Joints 1, 2, 8 and 9 turn the other way; grippers (6 and 13) are linear positions on the robot and angles in the model.
The constants are lerobot's, which took them from the Interbotix driver and a measured robot.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from reflex_export.graph.graph import Array, GraphBuilder

__all__ = ["ALOHA_AXES", "aloha_action_affine", "aloha_action_from_model", "aloha_state_to_model"]

ALOHA_AXES: Final = 14
_FLIPPED: Final = (1, 2, 8, 9)
_GRIPPERS: Final = (6, 13)
_OPEN_M, _CLOSED_M = 0.05800, 0.01844
_ARM_LENGTH_M, _HORN_RADIUS_M = 0.036, 0.022
_MODEL_MIN_RAD, _MODEL_MAX_RAD = 0.4, 1.5
_ROBOT_MIN_RAD, _ROBOT_MAX_RAD = -0.6213, 1.4910


def aloha_state_to_model(g: GraphBuilder, state: ir.Value, width: int) -> ir.Value:
    """[B, width]: joints flipped, grippers from the linear scale to the model's angles."""
    position = _affine(g, state, _OPEN_M - _CLOSED_M, _CLOSED_M)
    squared = g.op("Add", g.op("Mul", position, position), g.constant(_HORN_RADIUS_M**2 - _ARM_LENGTH_M**2))
    sine = g.op("Div", squared, g.op("Mul", position, g.constant(2 * _HORN_RADIUS_M)))
    angle = g.op("Asin", g.op("Clip", sine, g.constant(-1.0), g.constant(1.0)))
    span = _MODEL_MAX_RAD - _MODEL_MIN_RAD
    scaled = g.op("Div", g.op("Sub", angle, g.constant(_MODEL_MIN_RAD)), g.constant(span))
    return _merge(g, state, scaled, width)


def aloha_action_from_model(g: GraphBuilder, actions: ir.Value, width: int) -> ir.Value:
    """[B, T, width]: joints flipped back, grippers from the model's angles to the robot's."""
    angle = _affine(g, actions, _MODEL_MAX_RAD - _MODEL_MIN_RAD, _MODEL_MIN_RAD)
    span = _ROBOT_MAX_RAD - _ROBOT_MIN_RAD
    scaled = g.op("Div", g.op("Sub", angle, g.constant(_ROBOT_MIN_RAD)), g.constant(span))
    return _merge(g, actions, scaled, width)


def aloha_action_affine(width: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """`aloha_action_from_model` as scale and offset of each axis: robot = model * scale + offset."""
    scale, offset = np.ones(width), np.zeros(width)
    scale[list(_FLIPPED)] = -1.0
    span = _ROBOT_MAX_RAD - _ROBOT_MIN_RAD
    scale[list(_GRIPPERS)] = (_MODEL_MAX_RAD - _MODEL_MIN_RAD) / span
    offset[list(_GRIPPERS)] = (_MODEL_MIN_RAD - _ROBOT_MIN_RAD) / span
    return scale, offset


def _affine(g: GraphBuilder, x: ir.Value, scale: float, offset: float) -> ir.Value:
    return g.op("Add", g.op("Mul", x, g.constant(scale)), g.constant(offset))


def _merge(g: GraphBuilder, x: ir.Value, grippers: ir.Value, width: int) -> ir.Value:
    """Grippers from one tensor, the other axes from x with their signs."""
    signs: Array = np.ones(width, np.float32)
    signs[list(_FLIPPED)] = -1.0
    is_gripper = np.isin(np.arange(width), _GRIPPERS)
    return g.op("Where", g.constant(is_gripper, np.bool_), grippers, g.op("Mul", x, g.constant(signs)))
