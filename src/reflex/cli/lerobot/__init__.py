"""`reflex lerobot-policy`: the folder by which LeRobot's own programs ask a server."""
