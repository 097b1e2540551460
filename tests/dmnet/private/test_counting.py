"""What PyTorch's private tables and storages tell is what its public counters tell."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dmnet.private.counting import CountFlops, Kept, without_normalisation


def test_flops_are_those_of_pytorch_s_own_counter() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, groups=1), nn.Conv2d(8, 8, 3, groups=8))
    with FlopCounterMode(display=False) as theirs:
        network(torch.randn(2, 3, 9, 9)) @ torch.randn(5, 4)
    with CountFlops() as ours:
        network(torch.randn(2, 3, 9, 9)) @ torch.randn(5, 4)
    assert ours.flops == theirs.get_total_flops() > 0


def test_what_is_kept_counts_once_and_without_the_network_itself() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1))
    kept = Kept(network)
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    with kept:
        without_normalisation(network)(x)
    maps = (3, 8, 8)  # what each layer reads
    assert kept.bytes == 4 * 2 * 16 * sum(maps)
