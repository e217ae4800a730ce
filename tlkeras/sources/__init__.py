"""Source models: pre-trained networks, cut into named blocks."""
