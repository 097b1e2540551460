"""A number's lineage, for people: `python -m pipeline show TABLE/CELL`."""
