"""Unary gRPC calls over one HTTP/2 connection (RFC 9113), on the event loop itself.

`grpc.aio` hands every call to threads of its own and back; on a machine of two cores that is a fifth of what a call
of Triton takes. This package has what one client of one server needs, and nothing else.
"""
