"""Checkpoints of other toolboxes: one two-way name table each, and nothing else is known of them.

A name table turns a foreign state dict into ours and back. A key without a partner, or a tensor of
another shape, is an error that names it; nothing is skipped silently.
"""
