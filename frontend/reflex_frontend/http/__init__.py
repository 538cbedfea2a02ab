"""The HTTP side: the listening socket, the protocol and its limits, the routes, the OpenAPI document."""
