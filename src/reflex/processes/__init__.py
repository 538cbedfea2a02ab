"""Processes that a program of ours starts, and their end with it, however it ends."""
