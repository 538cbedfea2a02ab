"""Recordings of `reflex serve`: replayed, summarised, and compared slot against slot."""
