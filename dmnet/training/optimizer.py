"""PyTorch's SGD without PyTorch's compiler.

torch.optim imports the compiler to tell it which methods it must not trace. Nothing here is
compiled, and the import takes 1.2 s of the processor at the start of every training. So those
methods are used as they are below that; what they compute is the same code.
"""

from __future__ import annotations

from inspect import unwrap
from typing import Any

import torch

_Theirs: Any = torch.optim.SGD


class SGD(torch.optim.SGD):
    """As torch.optim.SGD, to the bit."""

    add_param_group = unwrap(_Theirs.add_param_group)
    zero_grad = unwrap(_Theirs.zero_grad)
    state_dict = unwrap(_Theirs.state_dict)
    load_state_dict = unwrap(_Theirs.load_state_dict)
    step = torch.no_grad()(unwrap(_Theirs.step))
