"""As in LeRobot."""
