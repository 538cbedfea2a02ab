"""A policy of LeRobot that asks a Reflex server for its actions.

LeRobot imports this package by its name, and finds the rest by the names of its own convention: the configuration is
registered under the type `reflex`, and policy and processors lie beside it. What knows neither LeRobot nor torch
(`asking`, `observing`, `fitting`, `keys`) can be used, and tested, without them.
"""
