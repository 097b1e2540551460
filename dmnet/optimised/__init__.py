"""A trained model in a form that predicts faster on a CPU: arithmetic that is not PyTorch's own.

The door is `optimised(model)`, and `resized_through` for its scores. The switch is a preset's
`optimised_from`, with which every result says its form (dmnet/inference/form.py).

    build       which module is replaced by what
    conv        batch normalisation folded into convolutions; oneDNN applies what follows them
    residual    the sum at a block's end, written by its last convolution
    heads       parallel 1x1 reductions in one; no concatenation
    winograd    wide 3x3 convolutions with fewer multiplications
    matrices, tiles, transforms       of Winograd's: which tiles fit an image, the way between
                                      maps, tiles and products
    resize      scores of a view, resized twice at once

What it brings (docs/bench.md; models at the published width, 512 x 512, one thread): DMNet's
forward pass takes 1.04 s instead of 2.45, without Winograd's convolutions 1.59; BiSeNetV2's 0.089 s
instead of 0.145, without them 0.107. It takes two to three times the memory. At `small`, whose
layers are too narrow for Winograd, an evaluation with scales and mirror images takes a quarter less
time.

The plain modules are the definition; these compute the same up to rounding, and
tests/dmnet/optimised compares them for every backbone and head, and both with float64.
"""

from dmnet.optimised.build import Options, optimised
from dmnet.optimised.resize import resized_through

__all__ = ["Options", "optimised", "resized_through"]
