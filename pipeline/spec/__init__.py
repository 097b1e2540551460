"""`params/` as checked schemas: every value with its origin."""
