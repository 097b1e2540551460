"""Our rows in the words of sssegmentation's configuration files, as mmsegmentation.py."""

from __future__ import annotations

from tests.pipeline.spec.released.rows import OurRow, Tree, head_of, norm_of, steps_of

DATA = {  # our dataset -> (theirs, our split -> their set)
    "voc2012aug": ("VOCDataset", {"trainaug": "trainaug", "val": "val"}),
    "ade20k": ("ADE20kDataset", {"training": "train", "validation": "val"}),
    "cityscapes": ("CityScapesDataset", {"train": "train", "val": "val"}),
}


def as_sssegmentation(row: OurRow) -> Tree:
    recipe, inference, dataset = row.recipe, row.inference, row.cell.dataset
    backbone, head = row.model.backbone, row.model.head
    assert dataset is not None and backbone.name == "resnet" and head.name == "dmnet"
    ((name, auxiliary),) = row.model.auxiliary.items()
    kind, sets = DATA[dataset.name]
    deep = "conv3x3stem" if backbone.stem == "deep" else ""
    main, side = head_of(row.network.head), head_of(row.network.auxiliary[name])
    loss = {
        "type": "CrossEntropyLoss",
        "ignore_index": row.run.data.ignore_index,
        "reduction": {"labelled": "mean"}.get(recipe.loss_average, recipe.loss_average),
        "parts": recipe.loss_parts,  # of the batch, each of which is averaged by itself
    }
    # Another step than theirs only where a difference is listed.
    size, crop = list((recipe.fit_size or ())[::-1]), list(recipe.crop_size)
    normalise = ("Normalize", {"mean": list(recipe.mean), "std": list(recipe.std)})
    resize = {"output_size": size, "keep_ratio": True, "scale_range": list(recipe.scale_range)}
    pad = {"output_size": crop, "data_type": "tensor"}
    fit = list((inference.fit_size or ())[::-1])
    return {
        "backbone": {
            "type": "ResNet",
            "depth": backbone.depth,
            "structure_type": f"resnet{backbone.depth}{deep}",
            "pretrained": backbone.weights is not None,
            "weights": backbone.weights and backbone.weights.file.partition("-")[0],
            "outstride": backbone.output_stride,
            "use_conv3x3_stem": backbone.stem == "deep",
            "selected_indices": [auxiliary.stage - 2, 3],
            "base_channels": backbone.width,
            "stem_channels": backbone.stem_channels or backbone.width,
        },
        "head": {
            "in_channels": main["in_channels"],
            "feats_channels": head.channels,
            "filter_sizes": list(head.kernel_sizes),
            "is_fusion": head.fusion,
            "context_stage": head.context_stage,
            "dropout": main["dropout_ratio"],
        },
        "auxiliary": {
            "in_channels": side["in_channels"],
            "out_channels": auxiliary.head.channels,
            "dropout": side["dropout_ratio"],
            "num_convs": side["num_convs"],
            "concat_input": side["concat_input"],
        },
        "losses": {
            "loss_aux": loss | {"scale_factor": auxiliary.weight},
            "loss_cls": loss | {"scale_factor": 1.0},
        },
        "num_classes": main["num_classes"],
        "align_corners": row.model.align_corners,
        "initialisation": row.model.initialisation,
        "backbone_norm": norm_of(row, "SyncBatchNorm", "BatchNorm2d", backbone=True),
        "norm": norm_of(row, "SyncBatchNorm", "BatchNorm2d"),
        "epochs": row.setting("recipe.epochs"),
        "iterations": recipe.iterations,
        "scheduler": {
            "type": "PolyScheduler",
            "power": recipe.power,
            "min_lr": recipe.min_lr,
            "reaches_min_lr": recipe.reaches_min_lr,
            "warmup_iterations": recipe.warmup_iterations,
            "warmup_times_poly": recipe.warmup_times_poly,
        },
        "optimizer": {
            "type": recipe.optimizer.upper(),
            "lr": recipe.lr,
            "momentum": recipe.momentum,
            "weight_decay": recipe.weight_decay,
            "params_rules": {},  # dmnet/training has one group of parameters
        },
        "precision": recipe.precision,
        "ohem": recipe.ohem,
        "total_batch": recipe.batch_size,
        "conventions": recipe.conventions,
        "load_scale": recipe.load_scale,
        "dataset": {
            "type": kind,
            "train": {
                "set": sets[row.run.data.split],
                "data_pipelines": steps_of(
                    [
                        ("Resize", resize),
                        (
                            "RandomCrop",
                            {"crop_size": crop, "one_category_max_ratio": recipe.cat_max_ratio},
                        ),
                        ("RandomFlip", {"prob": recipe.flip}),
                        *([("PhotoMetricDistortion", {})] if recipe.photometric else []),
                        *([("Padding", pad)] if recipe.padding == "black" else []),
                        normalise,
                        *([("Padding", pad)] if recipe.padding == "mean" else []),
                    ]
                ),
            },
            "test": {
                "set": sets[dataset.splits["val"]],
                "data_pipelines": steps_of(
                    [
                        ("Resize", {"output_size": fit, "keep_ratio": True, "scale_range": None}),
                        normalise,
                    ]
                ),
            },
        },
        "inference": {
            "forward": {
                "mode": inference.mode,
                "cropsize": inference.window,
                "stride": inference.stride,
            },
            "tta": {
                "multiscale": list(inference.scales),
                "flip": inference.flip,
                "use_probs_before_resize": inference.average == "probabilities",
            },
            "conventions": inference.conventions,
        },
    }
