"""Our rows in the words of mmsegmentation's configuration files.

What a network is, is read from the network that is built; what a run or an evaluation does, from
its configuration. What the files do not say stands beside it under names of our own.
"""

from __future__ import annotations

from collections.abc import Iterator

from dmnet.config import InferenceConfig, RecipeConfig
from tests.pipeline.spec.released.rows import OurRow, Tree, head_of, norm_of, steps_of

DATA = {  # (our dataset, role) -> theirs
    ("cityscapes", "train"): ("CityscapesDataset", [("leftImg8bit/train", "gtFine/train", None)]),
    ("cityscapes", "val"): ("CityscapesDataset", [("leftImg8bit/val", "gtFine/val", None)]),
    ("ade20k", "training"): (
        "ADE20KDataset",
        [("images/training", "annotations/training", None)],
    ),
    ("ade20k", "validation"): (
        "ADE20KDataset",
        [("images/validation", "annotations/validation", None)],
    ),
    ("voc2012aug", "trainaug"): (
        "PascalVOCDataset",
        [
            ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation/train.txt"),
            ("JPEGImages", "SegmentationClassAug", "ImageSets/Segmentation/aug.txt"),
        ],
    ),
    ("voc2012aug", "val"): (
        "PascalVOCDataset",
        [("JPEGImages", "SegmentationClass", "ImageSets/Segmentation/val.txt")],
    ),
}
HEAD_TYPES = {"dmnet": "DMHead", "aspp": "ASPPHead", "fcn": "FCNHead"}
LOSS = {"type": "CrossEntropyLoss", "use_sigmoid": False}  # dmnet/losses.py has no other


def as_mmsegmentation(row: OurRow) -> Tree:
    recipe, dataset = row.recipe, row.cell.dataset
    assert dataset is not None
    auxiliary = [_auxiliary(row, name) for name in row.model.auxiliary]
    sampler = _sampler(recipe)
    devices = row.setting("recipe.devices")
    amp = recipe.precision == "amp"
    tree: Tree = {
        "backbone": _backbone(row),
        "head": _head(row) | {"sampler": sampler},
        "aux": [head | {"sampler": sampler} for head in auxiliary],
        "norm": norm_of(row, "SyncBN", "BN"),
        "initialisation": row.model.initialisation,
        "test_cfg": _test(row.inference),
        "train_iters": recipe.iterations,
        "batch_per_gpu": recipe.batch_size // devices,
        "gpus": devices,
        "total_batch": recipe.batch_size,
        "optimizer": {
            "type": "AmpOptimWrapper" if amp else "OptimWrapper",
            "optimizer": {
                "type": recipe.optimizer.upper(),
                "lr": recipe.lr,
                "momentum": recipe.momentum,
                "weight_decay": recipe.weight_decay,
            },
            "clip_grad": None,  # dmnet/training clips no gradient
        }
        | ({"loss_scale": recipe.loss_scale} if amp else {}),
        "lr_schedule": list(_schedule(recipe)),
        "reaches_eta_min": recipe.reaches_min_lr,
        "warmup_times_poly": recipe.warmup_times_poly,
        "loss_divided_by": recipe.loss_average,
        "loss_parts": recipe.loss_parts,
        "ignore_index": row.run.data.ignore_index,
        "crop": list(recipe.crop_size),
        "conventions": recipe.conventions,
        "load_scale": recipe.load_scale,
        "data_preprocessor": {"mean": list(recipe.mean), "std": list(recipe.std)},
        "train_data": _data(dataset.name, row.run.data.split),
        "train_pipeline": steps_of(_training(row)),
        "val_data": _data(dataset.name, dataset.splits["val"])[0],
        "val_pipeline": steps_of(_testing(row)),
        "inference_conventions": (row.inference.conventions, row.inference.average),
    }
    if row.multi_scale is not None:
        tree["tta"] = _tta(row.multi_scale)
    return tree


def _backbone(row: OurRow) -> Tree:
    config, network = row.model.backbone, row.network.backbone
    norm = {"norm": norm_of(row, "SyncBN", "BN", backbone=True)}
    outputs = {"out_indices": list(range(len(network.channels)))}
    if config.name == "bisenetv2":
        return norm | {
            "type": "BiSeNetV2",
            "detail_channels": list(config.detail_channels),
            "semantic_channels": list(config.semantic_channels),
            "semantic_expansion_ratio": config.expansion,
            "bga_channels": config.aggregation_channels,
            "align_corners": False,  # dmnet/backbones/bisenetv2.py resizes so whatever the heads do
            "pretrained": config.weights,
            **outputs,
        }
    stages = [network.get_submodule(f"layer{i}") for i in range(1, 5)]
    first = [stage[0].conv2 for stage in stages]
    last = [stage[-1].conv2 for stage in stages]
    dilations = [conv.dilation[0] for conv in last]
    halved = [max(1, dilation // 2) for dilation in dilations]
    weights = None if config.weights is None else config.weights.file.partition("-")[0]
    return norm | {
        "type": {"deep": "ResNetV1c", "plain": "ResNet"}[config.stem],
        "depth": config.depth,
        "num_stages": len(stages),
        "dilations": dilations,
        "strides": [conv.stride[0] for conv in first],
        "contract_dilation": [conv.dilation[0] for conv in first] == halved,
        "style": "pytorch" if first[1].stride[0] == 2 else "caffe",
        "norm_eval": not network.bn1.training,
        "pretrained": f"open-mmlab://{weights}",
        "base_channels": config.width,
        "stem_channels": config.stem_channels or config.width,
        **outputs,
    }


def _head(row: OurRow) -> Tree:
    config = row.model.head
    bisenet = row.model.backbone.name == "bisenetv2"
    tree = head_of(row.network.head) | {
        "type": HEAD_TYPES[config.name],
        "in_index": 0 if bisenet else len(row.network.backbone.channels) - 1,
        "channels": config.channels,
        "align_corners": row.model.align_corners,
        "loss_decode": LOSS | {"loss_weight": 1.0},  # of the head, dmnet/losses.py has no other
    }
    if config.name == "dmnet":
        return tree | {
            "filter_sizes": list(config.kernel_sizes),
            "fusion": config.fusion,
            "context_stage": config.context_stage,
        }
    if config.name == "aspp":
        return tree | {"dilations": list(config.dilations)}
    return tree


def _auxiliary(row: OurRow, name: str) -> Tree:
    config = row.model.auxiliary[name]
    first = 1 if row.model.backbone.name == "bisenetv2" else 2  # the stage that in_index 0 means
    return head_of(row.network.auxiliary[name]) | {
        "type": HEAD_TYPES[config.head.name],
        "in_index": config.stage - first,
        "channels": config.head.channels,
        "align_corners": row.model.align_corners,
        "loss_decode": LOSS | {"loss_weight": config.weight},
    }


def _sampler(recipe: RecipeConfig) -> Tree | None:
    ohem = recipe.ohem
    if ohem is None:
        return None
    return {
        "type": "OHEMPixelSampler",
        "thresh": ohem.threshold,
        "min_kept": ohem.min_kept,
        "parts": ohem.parts,  # of the batch, each of which chooses its own pixels
    }


def _test(inference: InferenceConfig) -> Tree:
    tree: Tree = {"mode": inference.mode, "scales": list(inference.scales), "flip": inference.flip}
    if inference.mode == "slide":
        assert inference.window is not None and inference.stride is not None
        tree |= {"crop_size": list(inference.window), "stride": list(inference.stride)}
    return tree


def _tta(inference: InferenceConfig) -> Tree:
    fit = inference.fit_size
    return _test(inference) | {
        "of": "photograph" if fit is None else list(fit),
        "conventions": (inference.conventions, inference.average),
    }


def _schedule(recipe: RecipeConfig) -> Iterator[Tree]:
    warmup = recipe.warmup_iterations
    if warmup:
        ends = {"begin": 0, "end": warmup, "by_epoch": False}
        yield {"type": "LinearLR", "start_factor": recipe.warmup_factor} | ends
    ends = {"begin": warmup, "end": recipe.iterations, "by_epoch": False}
    yield {"type": "PolyLR", "eta_min": recipe.min_lr, "power": recipe.power} | ends


def _data(dataset: str, split: str) -> list[Tree]:
    kind, parts = DATA[dataset, split]
    return [
        {"type": kind, "img": {"img_path": images, "seg_map_path": labels}, "ann_file": names}
        for images, labels, names in parts
    ]


def _training(row: OurRow) -> Iterator[tuple[str, Tree]]:
    recipe = row.recipe
    yield from _loading(row)
    if recipe.fit_size is not None:
        ratio = {"ratio_range": list(recipe.scale_range), "keep_ratio": True}
        yield "RandomResize", {"scale": list(recipe.fit_size[::-1])} | ratio
    crop = list(recipe.crop_size)
    yield "RandomCrop", {"crop_size": crop, "cat_max_ratio": recipe.cat_max_ratio}
    yield "RandomFlip", {"prob": recipe.flip}
    if recipe.photometric:
        yield "PhotoMetricDistortion", {}
    if recipe.padding == "black":  # without it, the batch is padded after normalisation
        yield "Pad", {"size": crop}


def _testing(row: OurRow) -> Iterator[tuple[str, Tree]]:
    if row.inference.fit_size is not None:
        size = list(row.inference.fit_size[::-1])
        yield "Resize", {"scale": size, "keep_ratio": True}
    yield from _loading(row)


def _loading(row: OurRow) -> Iterator[tuple[str, Tree]]:
    labels = row.run.data.label_map
    classes, ignored = row.run.data.classes, row.run.data.ignore_index
    one_lower = {0: ignored} | {label + 1: label for label in range(classes)}
    yield "LoadAnnotations", {"reduce_zero_label": True} if labels == one_lower else {}
