"""Procedural datasets that take the place of real ones, in the real archives' formats."""
