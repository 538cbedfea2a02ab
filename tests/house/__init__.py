"""What `tests/house_rules.py` is made of: files, rules for one of them, rules for the whole tree."""
