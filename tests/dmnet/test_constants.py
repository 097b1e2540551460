"""What the schemas say of the code in fields with one legal value is what the code does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dmnet.config import (
    ASPPHeadConfig,
    DilatedHeadConfig,
    DMNetHeadConfig,
    FCNHeadConfig,
    ModelConfig,
    MultiKernelHeadConfig,
    RecipeConfig,
    ResNetConfig,
)
from dmnet.config.sections import is_constant
from dmnet.data.augment import augment, normalise, resize_image, resize_label, scaled_size
from dmnet.data.dataset import SampleStream
from dmnet.heads import build_head
from dmnet.heads.dmnet import DynamicConvolutionalModule
from dmnet.heads.multi_branch import MultiBranchHead
from dmnet.layers import ConvBnRelu, same_padding
from dmnet.losses import pixel_cross_entropy
from dmnet.segmentor import Segmentor
from dmnet.training.schedule import lr_at
from dmnet.training.step import Stepper

MODEL = ModelConfig(
    backbone=ResNetConfig(width=8), head=DMNetHeadConfig(channels=8, kernel_sizes=(1, 3))
)
RECIPE = RecipeConfig(lr=0.1, weight_decay=0.5, iterations=10, batch_size=2, crop_size=(32, 32))


def test_the_stride_is_the_3x3_convolutions():
    assert ResNetConfig().stride_in == "3x3"
    first = Segmentor(MODEL, 3).backbone.layer2[0]
    assert (first.conv1.stride, first.conv2.stride) == ((1, 1), (2, 2))


def test_a_dilated_stages_first_block_has_half_its_dilation():
    assert ResNetConfig().first_dilation == "halved"
    backbone = Segmentor(MODEL, 3).backbone
    for stage, dilation in ((backbone.layer3, 2), (backbone.layer4, 4)):
        assert [block.conv2.dilation[0] for block in stage][:2] == [dilation // 2, dilation]


def test_a_head_normalises_after_every_convolution_but_generator_and_classifier():
    assert MODEL.normalisation == "BN, ReLU" and MODEL.head.generator == "1x1 with bias"
    head = Segmentor(MODEL, 3).head
    plain = {
        name: module
        for name, module in head.named_modules()
        if isinstance(module, nn.Conv2d) and not name.endswith(".conv")
    }
    assert [name.rpartition(".")[2] for name in plain] == ["filter_generator"] * 2 + ["classifier"]
    for module in plain.values():
        assert module.bias is not None and module.kernel_size == (1, 1)
    for module in head.modules():
        if isinstance(module, ConvBnRelu):
            assert [name for name, _ in module.named_children()] == ["conv", "bn", "relu"]


def test_batch_normalisation_has_eps_and_momentum_of_pytorch():
    assert MODEL.batch_norm == "eps 1e-5, momentum 0.1"
    for module in Segmentor(MODEL, 3).modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.eps, module.momentum) == (1e-5, 0.1)


@pytest.mark.parametrize("schema", [DMNetHeadConfig, FCNHeadConfig, MultiKernelHeadConfig])
def test_dropout_drops_whole_maps_just_before_the_classifier(schema):
    assert (MODEL.dropout_of, MODEL.classifier) == ("channels", "1x1 with bias")
    last = list(build_head(schema(channels=8), [8, 8, 8, 8], 3).named_children())[-2:]
    assert [name for name, _ in last] == ["dropout", "classifier"]
    assert isinstance(last[0][1], nn.Dropout2d)


def test_the_bottleneck_is_3x3_over_branches_and_the_backbones_feature():
    aspp = ASPPHeadConfig(channels=8)
    assert MODEL.head.bottleneck == MultiKernelHeadConfig().bottleneck == aspp.bottleneck == "3x3"
    assert build_head(aspp, [8], 3).bottleneck.conv.kernel_size == (3, 3)
    for config in (MODEL.head, MultiKernelHeadConfig(channels=8, kernel_sizes=(1, 3))):
        head = build_head(config, [8, 16, 32, 64], 3)
        assert isinstance(head, MultiBranchHead)
        assert head.bottleneck.conv.kernel_size == (3, 3)
        assert head.bottleneck.conv.in_channels == 64 + 2 * 8


def test_filters_come_from_the_mean_of_k_x_k_bins():
    assert MODEL.head.context == "average"
    module = DynamicConvolutionalModule(1, 1, 1, kernel_size=2, fusion=False)
    seen = []
    module.filter_generator.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    context = torch.arange(16.0).reshape(1, 1, 4, 4)
    module.eval()(torch.zeros(1, 1, 4, 4), context)
    torch.testing.assert_close(seen[0][0, 0], torch.tensor([[2.5, 4.5], [10.5, 12.5]]))


def test_convolutions_of_fcn_and_dilated_branches_are_3x3():
    assert FCNHeadConfig().kernel_size == DilatedHeadConfig().kernel_size == 3
    fcn = build_head(FCNHeadConfig(channels=8), [8], 3)
    dilated = build_head(DilatedHeadConfig(channels=8), [8, 8, 8, 8], 3)
    for layer in (fcn.convolutions[0], *(branch.filter for branch in dilated.branches)):
        assert layer.conv.kernel_size == (3, 3)


def test_an_even_kernel_is_padded_at_the_left_and_top():
    assert MODEL.head.even_kernels == "left and top"
    assert same_padding(2) == (1, 0, 1, 0)


def stepper() -> Stepper:
    """Of a model none of whose weights is 0 from the start."""
    torch.manual_seed(0)
    model = MODEL.model_copy(update={"initialisation": "torch"})
    return Stepper(Segmentor(model, 3), RECIPE, 255, torch.device("cpu"))


def test_one_rate_and_decay_for_all_parameters_and_plain_momentum():
    assert (RECIPE.nesterov, RECIPE.head_lr_factor, RECIPE.weight_decay_on) == (False, 1, "all")
    own = stepper()
    (group,) = own.optimizer.param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in own.model.parameters()}
    assert (group["weight_decay"], group["nesterov"], group["dampening"]) == (0.5, False, 0)


def test_every_layer_learns_and_large_gradients_are_not_clipped():
    assert (RECIPE.frozen, RECIPE.gradient_clipping) == ("none", "none")
    own = stepper()
    before = {n: v.clone() for n, v in own.model.state_dict().items()}
    labels = torch.randint(0, 3, (2, 32, 32), dtype=torch.uint8)
    own.step(1000 * torch.randn(2, 3, 32, 32), labels, 0)
    after = own.model.state_dict()
    assert [name for name in after if torch.equal(after[name], before[name])] == []
    rate = lr_at(RECIPE, 0)
    for name, parameter in own.model.named_parameters():
        gradient = parameter.grad + RECIPE.weight_decay * before[name]
        torch.testing.assert_close(
            before[name] - after[name], rate * gradient, rtol=1e-3, atol=1e-6
        )


def test_scores_are_brought_to_the_labels_size_and_all_classes_weigh_the_same():
    assert (RECIPE.loss, RECIPE.loss_size) == ("cross_entropy", "labels")
    assert MODEL.upsampling == "bilinear"
    scores = torch.randn(1, 3, 2, 2)
    labels = torch.randint(0, 3, (1, 8, 8))
    large = nn.functional.interpolate(scores, (8, 8), mode="bilinear", align_corners=False)
    picked = large.log_softmax(1).gather(1, labels[:, None])
    torch.testing.assert_close(pixel_cross_entropy(scores, labels, 255, False), -picked.mean())


def test_epochs_are_shuffled_and_lie_end_to_end():
    assert RECIPE.sampling == "shuffled epochs"
    addresses = [a for batch in SampleStream(5, 2, seed=3, start=0, stop=5) for a in batch]
    epochs = [[index for epoch, index in addresses if epoch == e] for e in (0, 1)]
    assert [sorted(epoch) for epoch in epochs] == [[0, 1, 2, 3, 4]] * 2
    assert epochs[0] != epochs[1]


def test_labels_take_the_nearest_value_and_photographs_lie_between():
    assert (RECIPE.interpolation, RECIPE.label_interpolation) == ("bilinear", "nearest")
    row = torch.tensor([[0, 200]], dtype=torch.uint8)
    assert set(resize_label(row, (1, 8)).unique().tolist()) == {0, 200}
    assert len(resize_image(row.expand(3, 1, 2), (1, 8)).unique()) > 2
    assert RECIPE.size_rounding == "half up" and scaled_size(5, 4, 0.5) == (3, 2)


def test_nothing_but_what_the_recipe_says_happens_to_a_photograph():
    assert RECIPE.further_augmentation == "none"
    quiet = RECIPE.model_copy(update={"scale_range": (1.0, 1.0), "flip": 0.0})
    image = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    label = torch.zeros(32, 32, dtype=torch.uint8)
    sample, _ = augment(image, label, quiet, 255, np.random.default_rng(0))
    assert torch.equal(sample, normalise(image, quiet))


def test_scales_and_crops_are_evenly_distributed():
    """Over many samples: every fifth of the scales, and every place of a crop, is met as often."""
    assert (RECIPE.scale_drawn, RECIPE.crop_position) == ("uniform", "uniform")
    image, label = torch.zeros(3, 20, 100, dtype=torch.uint8), torch.zeros(20, 100).byte()
    wide = RECIPE.model_copy(update={"crop_size": (40, 200)})  # the rest is not labelled: 255
    ratios = [(drawn(image, label, wide, seed)[0] == 0).sum() / 100 for seed in range(500)]
    assert np.histogram(ratios, 5, (0.5, 2.0))[0].min() > 70
    label[:] = torch.arange(100)
    plain = RECIPE.model_copy(
        update={"scale_range": (1.0, 1.0), "flip": 0.0, "crop_size": (20, 96)}
    )
    starts = [int(drawn(image, label, plain, seed)[0, 0]) for seed in range(500)]
    assert np.bincount(starts, minlength=5).min() > 70 and max(starts) == 4


def drawn(image: torch.Tensor, label: torch.Tensor, recipe: RecipeConfig, seed: int):
    """The label of one augmented sample."""
    return augment(image, label, recipe, 255, np.random.default_rng(seed))[1]


SCHEMAS = (
    ModelConfig,
    ResNetConfig,
    DMNetHeadConfig,
    MultiKernelHeadConfig,
    DilatedHeadConfig,
    FCNHeadConfig,
    ASPPHeadConfig,
    RecipeConfig,
)
ELSEWHERE = {
    "name",  # of a schema
    "optimizer",
    "kept",  # test_trainer.py: how often a run validates changes no weight
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_constant_is_compared_here(schema):
    fixed = {n for n, f in schema.model_fields.items() if is_constant(f.annotation, f.default)}
    text = Path(__file__).read_text()
    assert {name for name in fixed - ELSEWHERE if f".{name}" not in text} == set()
