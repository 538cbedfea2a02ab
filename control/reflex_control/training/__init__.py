"""Datasets, and the queue of what is trained on them."""
