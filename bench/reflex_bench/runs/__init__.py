"""Long runs of the robot's side."""
