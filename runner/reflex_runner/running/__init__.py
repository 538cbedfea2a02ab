"""A run, from a `robot.yaml` to its result: everything that lies below is put together here."""
