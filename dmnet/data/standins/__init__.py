"""Procedural datasets that take the place of real ones, in the real archives' format.

One configuration gives the same bytes every time (with the same versions of Pillow and zlib).
"""
