"""Learning-rate schedules: iteration (0-based) -> learning rate."""

from __future__ import annotations

from dmnet.config import RecipeConfig


def lr_at(recipe: RecipeConfig, iteration: int) -> float:
    """The recipe's learning rate in iteration 0 .. `recipe.iterations` - 1.

    Linear warm-up first, if the recipe has one: from `warmup_factor` x lr to lr itself in the last
    of the `warmup_iterations`. Then the polynomial, over the iterations that are left, from lr
    towards `min_lr`. It comes there after the last iteration (paper, sssegmentation) or, with
    `reaches_min_lr`, in the last one (mmsegmentation's PolyLR, which counts one step less).
    """
    warmup = recipe.warmup_iterations
    if iteration < warmup:
        share = iteration / max(warmup - 1, 1)
        return recipe.lr * (recipe.warmup_factor + (1 - recipe.warmup_factor) * share)
    steps = recipe.iterations - warmup - (1 if recipe.reaches_min_lr else 0)
    if steps < 1:  # a single iteration: nothing to fall over
        return recipe.lr
    return poly_lr(recipe.lr, iteration - warmup, steps, recipe.power, recipe.min_lr)


def poly_lr(lr: float, iteration: int, iterations: int, power: float, min_lr: float = 0.0) -> float:
    """lr * (1 - iter / total_iter) ** power (section 4.1), from `lr` down towards `min_lr`."""
    return (lr - min_lr) * (1 - iteration / iterations) ** power + min_lr
