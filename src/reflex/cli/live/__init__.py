"""What a running server does, on one page of a terminal: `reflex status` and `reflex watch`."""
