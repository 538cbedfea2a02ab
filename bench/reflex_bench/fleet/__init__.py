"""How many robots one GPU serves with their deadlines kept: `make bench-fleet`."""
