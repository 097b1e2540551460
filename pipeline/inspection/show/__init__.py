"""A number's lineage, for people: `python -m pipeline show TABLE/CELL`."""

from pipeline.inspection.show.lineage import render_show

__all__ = ["render_show"]
