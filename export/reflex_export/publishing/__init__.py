"""Putting a policy into a repository whole or not at all."""
