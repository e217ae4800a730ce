"""Run the phases of a strategy."""
