"""Correction heads, trained from recordings: a stale action against what the policy said of its moment later."""
