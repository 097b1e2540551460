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
    """As torch.optim.SGD, to the bit, but that momentum is there before the first step.

    PyTorch's single kernel ("fused") is given memory that nobody has written and fills it in the
    first step. Where mixed precision leaves that step out, the next one takes what lay there for
    momentum. From zeros the first step comes to the same: 0 * momentum + gradient.
    """

    add_param_group = unwrap(_Theirs.add_param_group)
    zero_grad = unwrap(_Theirs.zero_grad)
    state_dict = unwrap(_Theirs.state_dict)
    load_state_dict = unwrap(_Theirs.load_state_dict)
    _step = torch.no_grad()(unwrap(_Theirs.step))

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"] if group["momentum"] else ():
                if parameter.grad is not None and "momentum_buffer" not in self.state[parameter]:
                    self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return self._step(closure)
