"""As much of LeRobot as a program needs that drives its robots; `make lerobot-test` drives the real one."""
