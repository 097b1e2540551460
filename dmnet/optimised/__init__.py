"""A trained model in a form that predicts faster: `optimised(model)`.

    build      which module is replaced by what
    options    what is switched on
    precision  what it computes in, where the device has that
    conv       batch normalisation folded into convolutions; oneDNN applies what follows them
    residual   the sum at a block's end, written by its last convolution
    heads      parallel 1x1 reductions in one; no concatenation
    winograd   3x3 convolutions with fewer multiplications, by `dmnet.winograd`
    resize     a view's scores resized twice at once

The plain modules are the definition; these compute the same up to rounding, and
tests/dmnet/optimised compares them for every backbone and head, and both with float64.
"""

from dmnet.optimised.build import optimised
from dmnet.optimised.options import Options

__all__ = ["Options", "optimised"]
