"""LeRobot's own trainer as a child of ours: started, watched, resumed, and what it made exported."""
