"""A checkpoint that LeRobot itself runs beside the same one that Reflex serves, over the same seeds."""
