"""Asking addresses that a user named, from a machine that reaches more than the user does.

Whoever may name an address could make a server ask its cloud's metadata service, or hang. So a name is resolved once,
each of its addresses is looked at, and the connection goes to one of those and nowhere else; nothing is followed,
nothing is unpacked, and time and size are bounded as a whole.
"""

from reflex.outbound.addresses import refusal_of, resolve
from reflex.outbound.asking import DEADLINE_S, Answered, Asker, Resolver

__all__ = ["DEADLINE_S", "Answered", "Asker", "Resolver", "refusal_of", "resolve"]
