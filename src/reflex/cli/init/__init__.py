"""Files that one writes once, begun by questions or from what is there: `reflex init`."""
