"""PEFT adapters (LoRA, DoRA): found beside or without whole weights, and merged into their base model while it is read.

An adapter is refused by name when merging it could go wrong in silence: when it is unknown which base model is meant,
or when it is of a method that is not merged here.
"""
