"""`reflex connect`: run a robot from its `robot.yaml`."""
