"""`reflex bench motion`: how smoothly a simulated arm moves by the answers of a running server, over a slow network."""
