"""Who asks: organisations, keys with scopes, pairing tokens, logins, and the actor of a request."""
