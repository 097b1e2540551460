"""Reads DVC's files without DVC, checks what it would follow, and calls its commands."""
