"""All reports as one page."""
