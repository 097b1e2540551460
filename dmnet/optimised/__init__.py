"""A trained model in a form that predicts faster on a CPU: arithmetic that is not PyTorch's own.

The door is `optimised(model)`, and `resized_through` for its scores. The switch is a preset's
`optimised_from`, with which every result says its form (dmnet/inference/form.py).

    build       which module is replaced by what
    conv        batch normalisation folded into convolutions; oneDNN applies what follows them,
                the sum at a block's end too
    heads       parallel 1x1 reductions in one; no concatenation
    winograd    wide 3x3 convolutions with fewer multiplications
    matrices, tiles, transforms       of Winograd's: which tiles fit an image, the way between
                                      maps, tiles and products
    resize      scores of a view, resized twice at once

What it brings says docs/bench.md: of DMNet's and BiSeNetV2's time about half, at two to three times
the memory, and at `small`, whose layers are too narrow for Winograd, a quarter.

The plain modules are the definition; these compute the same up to rounding, and
tests/dmnet/optimised compares them for every backbone and head, and both with float64.
"""

from dmnet.optimised.build import Options, optimised
from dmnet.optimised.resize import resized_through

__all__ = ["Options", "optimised", "resized_through"]
