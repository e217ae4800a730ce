"""From what a user has (folders, tables, arrays) to examples and splits."""
