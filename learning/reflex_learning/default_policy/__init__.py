"""How the policy that ships with Reflex is made from nothing: `make train-default`."""
