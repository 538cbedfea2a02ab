"""Changing what a running server serves: candidates on trial, and the admin routes."""
