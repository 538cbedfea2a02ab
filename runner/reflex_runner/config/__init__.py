"""`robot.yaml`: what a run is made of."""
