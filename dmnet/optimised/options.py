"""What of the optimised form is switched on."""

from __future__ import annotations

from dataclasses import dataclass

from dmnet.optimised.precision import Precision


@dataclass(frozen=True)
class Options:
    """Everything on by default; `Options(merge=False, winograd_from=None)` only folds.

    precision: "bf16" computes in bfloat16 and gives its logits in float32. It is faster where the
    processor has instructions for it, and changes predictions; a CPU without computes in float32.
    """

    merge: bool = True  # parallel 1x1 convolutions of one input in one
    # 3x3 convolutions of stride 1 with fewer multiplications (on a CPU), from so many
    # channels on: below, the transforms cost what they save. None: never.
    winograd_from: int | None = 128
    kernels: bool = True  # Winograd's transforms in C, where a compiler is found
    precision: Precision = "fp32"
