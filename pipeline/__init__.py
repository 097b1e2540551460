"""From cells to runs and back: what must run for a table, and the table from what has run.

Nothing here imports torch when the workflow is parsed.
"""
