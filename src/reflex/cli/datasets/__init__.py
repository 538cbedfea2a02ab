"""`reflex datasets`: what recordings of runs need before somebody trains on them."""
