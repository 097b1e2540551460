"""Figures of predicted label maps, as content, caption and picture."""
