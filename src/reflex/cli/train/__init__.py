"""`reflex train`: small models that help a policy, from its own recordings."""
