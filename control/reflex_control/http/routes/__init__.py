"""What each route takes and does, a module for each kind of object."""
