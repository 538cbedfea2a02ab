"""How an older store becomes a newer one: one script a step, run by `reflex control migrate`."""
