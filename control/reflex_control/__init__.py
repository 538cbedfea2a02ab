"""The control plane: which robot may run which policy, who said so, and the proof.

It never stands between a robot and its policy: an observation goes from the robot to the frontend, not through here.
"""
