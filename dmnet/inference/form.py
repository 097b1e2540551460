"""Which form a trained model predicts in: as it was trained, or optimised.

The plain modules (one view or window at a time) are the definition. The optimised form is that of
`dmnet.optimised`, with several views or windows in one forward pass and the two resizings of a
view's scores in one. Its scores differ from the plain ones by rounding and are as far from those in
float64 (tests/dmnet/optimised/test_rounding.py). That can change a label where two classes tie, so
the form is part of what an evaluation is, and every result says which it was.

It is for CPUs: what it gives on a GPU has not been measured, so there the plain modules predict.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch

from dmnet.config import EvaluationConfig
from dmnet.segmentor import Segmentor


class Form(NamedTuple):
    """`pixels`: of all images in one forward pass; a single view or window may have more."""

    name: Literal["plain", "optimised"]
    pixels: int


PLAIN = Form("plain", 0)
OPTIMISED = Form("optimised", 2**21)  # measured: heads on ResNet-50 then take 3.6 GiB


def form_of(evaluation: EvaluationConfig, images: int, device: torch.device) -> Form:
    """Building the optimised form takes as long as some views, so it has to serve enough of them.

    Their number is that of `images` times the protocol's scales and mirror images.
    """
    least = evaluation.optimised_from
    views = images * evaluation.inference.views
    return form_on(device, least is not None and views >= least)


def form_on(device: torch.device, optimised: bool) -> Form:
    return OPTIMISED if optimised and device.type == "cpu" else PLAIN


def in_form(model: Segmentor, form: Form) -> Segmentor:
    """`model` as it is, or its optimised form on the same device, which cannot be trained."""
    if form.name == "plain":
        return model
    from dmnet.optimised import optimised

    return optimised(model)
