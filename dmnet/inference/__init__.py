"""Inference protocols and the metric that they are measured with."""
