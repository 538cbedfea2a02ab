"""The doctor of a deployment: may its robots be moved by it, and if not, what is to be done?

What the store knows is read in transactions; the frontends are asked between them, never within one.
"""
