"""How to train, as data."""
