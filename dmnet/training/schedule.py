"""Learning-rate schedules: iteration (0-based) -> learning rate."""

from __future__ import annotations

from dmnet.config import RecipeConfig


def lr_at(recipe: RecipeConfig, iteration: int) -> float:
    """The recipe's learning rate in iteration 0 .. `recipe.iterations` - 1.

    Linear warm-up first, if the recipe has one: from `warmup_factor` x lr to lr itself in the last
    of the `warmup_iterations`. Then the polynomial, over the iterations that are left, from lr
    towards `min_lr`. It comes there after the last iteration (paper, sssegmentation) or, with
    `reaches_min_lr`, in the last one (mmsegmentation 1.x's PolyLR, which counts one step less).

    With `warmup_times_poly` (mmsegmentation 0.x) the polynomial runs over all iterations, and a
    factor from `warmup_factor` in the first to 1 just after the last of the warm-up multiplies it.
    """
    warmup, least = recipe.warmup_iterations, recipe.warmup_factor
    if recipe.warmup_times_poly:
        share = iteration / warmup if iteration < warmup else 1
        return (least + (1 - least) * share) * _poly_at(recipe, iteration, 0)
    if iteration < warmup:
        share = iteration / max(warmup - 1, 1)
        return recipe.lr * (least + (1 - least) * share)
    return _poly_at(recipe, iteration, warmup)


def _poly_at(recipe: RecipeConfig, iteration: int, begin: int) -> float:
    """Of the polynomial that starts in iteration `begin`."""
    steps = recipe.iterations - begin - (1 if recipe.reaches_min_lr else 0)
    if steps < 1:  # a single iteration: nothing to fall over
        return recipe.lr
    return poly_lr(recipe.lr, iteration - begin, steps, recipe.power, recipe.min_lr)


def poly_lr(lr: float, iteration: int, iterations: int, power: float, min_lr: float = 0.0) -> float:
    """lr * (1 - iter / total_iter) ** power (section 4.1), from `lr` down towards `min_lr`."""
    return (lr - min_lr) * (1 - iteration / iterations) ** power + min_lr
