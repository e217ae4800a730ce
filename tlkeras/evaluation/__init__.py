"""How good a model is, compared with what."""
