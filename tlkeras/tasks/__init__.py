"""What is learnt on top of a source model."""
