"""`reflex eval`: how often a policy succeeds, in closed loop."""
