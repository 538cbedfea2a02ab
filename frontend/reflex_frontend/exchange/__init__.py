"""One request and what becomes of it: this instance, the slot that it is routed to, its outcome."""
