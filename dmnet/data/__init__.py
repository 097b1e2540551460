"""Datasets on disk: preparing, verifying and decoding them."""
