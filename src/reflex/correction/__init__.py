"""The correction head: a small network that brings the rest of a chunk up to the newest state, and its files."""
