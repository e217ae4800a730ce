"""What the frozen part of a network computes, and the LiteRT runtime."""
