"""A robot's request parsed, and turned into the tensors that the policy takes."""
