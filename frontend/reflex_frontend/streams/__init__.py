"""Transports that are no plain HTTP: what goes over WebSockets, and who may open one."""
