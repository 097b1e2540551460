"""Learning-rate schedules: iteration (0-based) -> learning rate."""

from __future__ import annotations


def poly_lr(lr: float, iteration: int, iterations: int, power: float, min_lr: float = 0.0) -> float:
    """lr * (1 - iter / total_iter) ** power (section 4.1), from `lr` down towards `min_lr`."""
    return (lr - min_lr) * (1 - iteration / iterations) ** power + min_lr
