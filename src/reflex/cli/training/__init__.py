"""`reflex training`: runs that train a policy on a dataset."""
