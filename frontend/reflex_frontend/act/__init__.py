"""`POST /act` from the bytes of a body to the bytes of an answer, and who may ask."""
