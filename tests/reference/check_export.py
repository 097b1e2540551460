"""A run's exported checkpoint, loaded by the zoo's own code: strictly, and with the same logits.

Run by hand, with our environment, after install.sh (README.md):

    python -m tests.reference.check_export --run runs/KEY --zoo mmsegmentation \\
        --reference .venv-reference

The run is exported as `python -m dmnet export` does it; the zoo's model is built from the zoo's own
classes with the sizes of the run's configuration, at any width, and loads the file in a process of
its own (load_export.py). Exit code 1 if a tensor does not fit or the logits differ by more than
1e-5 of their range.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from bench.cases import LIMIT
from bench.run import difference
from dmnet.config import (
    BiSeNetV2Config,
    FCNHeadConfig,
    HeadConfig,
    JobConfig,
    ModelConfig,
    ResNetConfig,
    parse,
)
from dmnet.errors import CheckpointError, DMNetError, RunError
from dmnet.files import read_json
from dmnet.importers.export import export_run
from dmnet.weights import load_trained

HERE = Path(__file__).resolve().parent
SIZE = (97, 129)  # neither a multiple of the stride nor a square


def check(run: Path, zoo: str, reference: Path) -> float:
    """The largest difference of the logits, as a part of the reference's range. Raises RunError."""
    job = parse(JobConfig, read_json(run / "config.json"), str(run / "config.json"))
    trained = read_json(run / "train.json")["weights"]
    model = load_trained(job.run, run / trained["file"], trained["sha256"])
    config = CONFIGS[zoo](job.run.model, job.run.data.classes)
    images = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    with TemporaryDirectory() as name:
        folder = Path(name)
        export_run(run, zoo, folder / "exported.pth")
        torch.save(images, folder / "images.pt")
        (folder / "config.json").write_text(json.dumps(config))
        loaded = subprocess.run(
            [reference.absolute() / "bin" / "python", HERE / "load_export.py", zoo, folder],
            env={**os.environ, "PYTHONPATH": str(HERE / "site")},
            capture_output=True,
            text=True,
            check=False,
        )
        if loaded.returncode:
            raise RunError(f"{run}: {zoo} does not load its export: {loaded.stderr.strip()}")
        theirs = torch.load(folder / "logits.pt", weights_only=True)
    with torch.no_grad():
        return difference(model(images).main, theirs)


def mmsegmentation(model: ModelConfig, classes: int) -> dict[str, Any]:
    """mmsegmentation's `model=` dictionary."""
    norm = {"type": "BN", "requires_grad": True}
    shared = {"num_classes": classes, "align_corners": model.align_corners, "norm_cfg": norm}
    backbone, widths, main = mmseg_backbone(model.backbone, norm)

    def head(ours: HeadConfig, index: int) -> dict[str, Any]:
        return {**mmseg_head(ours), "in_channels": widths[index], "in_index": index, **shared}

    # BiSeNetV2 gives the aggregated feature first, so that the stages count from 1.
    first = 1 if model.backbone.name == "bisenetv2" else 0
    auxiliary = [head(each.head, each.stage - 2 + first) for each in model.auxiliary.values()]
    config = {
        "type": "EncoderDecoder",
        "backbone": backbone,
        "decode_head": head(model.head, main),
        "test_cfg": {"mode": "whole"},
    }
    if auxiliary:
        config["auxiliary_head"] = auxiliary if len(auxiliary) > 1 else auxiliary[0]
    return config


def mmseg_backbone(
    ours: ResNetConfig | BiSeNetV2Config, norm: dict[str, Any]
) -> tuple[dict[str, Any], list[int], int]:
    """Its dictionary, the widths of its outputs, and the index of the one that the head takes."""
    if isinstance(ours, BiSeNetV2Config):
        backbone = {
            "type": "BiSeNetV2",
            "detail_channels": ours.detail_channels,
            "semantic_channels": ours.semantic_channels,
            "semantic_expansion_ratio": ours.expansion,
            "bga_channels": ours.aggregation_channels,
        }
        return backbone, [ours.aggregation_channels, *ours.semantic_channels], 0
    backbone = {
        "type": "ResNetV1c" if ours.stem == "deep" else "ResNet",
        "depth": ours.depth,
        "out_indices": (0, 1, 2, 3),
        "strides": (1, 2, 1, 1) if ours.output_stride == 8 else (1, 2, 2, 1),
        "dilations": (1, 1, 2, 4) if ours.output_stride == 8 else (1, 1, 1, 2),
        "contract_dilation": True,
        "base_channels": ours.width,
        "stem_channels": ours.stem_channels or ours.width,
        "norm_cfg": norm,
    }
    return backbone, [ours.width * 4 * 2**stage for stage in range(4)], 3


def mmseg_head(ours: HeadConfig) -> dict[str, Any]:
    shared = {"channels": ours.channels, "dropout_ratio": ours.dropout}
    match ours.name:
        case "dmnet":
            sizes = {"filter_sizes": ours.kernel_sizes, "fusion": ours.fusion}
            return {"type": "DMHead", **sizes, **shared}
        case "aspp":
            return {"type": "ASPPHead", "dilations": ours.dilations, **shared}
        case "fcn":
            layers = {"num_convs": ours.convolutions, "concat_input": ours.concat_input}
            return {"type": "FCNHead", **layers, **shared}
    raise CheckpointError(f"head `{ours.name}`: mmsegmentation has no such head")


def sssegmentation(model: ModelConfig, classes: int) -> dict[str, Any]:
    """sssegmentation's `SEGMENTOR_CFG`; it has DMNet on ResNet only."""
    ours, head = model.backbone, model.head
    if not isinstance(ours, ResNetConfig) or head.name != "dmnet":
        raise CheckpointError("sssegmentation: no such model here; expected dmnet on resnet")
    auxiliary = []
    for each in model.auxiliary.values():
        assert isinstance(each.head, FCNHeadConfig)
        auxiliary.append(
            {
                "in_channels": ours.width * 4 * 2 ** (each.stage - 2),
                "out_channels": each.head.channels,
                "dropout": each.head.dropout,
                "num_convs": each.head.convolutions,
            }
        )
    deep = "conv3x3stem" if ours.stem == "deep" else ""
    return {
        "type": "DMNet",
        "num_classes": classes,
        "align_corners": model.align_corners,
        "norm_cfg": {"type": "BatchNorm2d"},
        "act_cfg": {"type": "ReLU", "inplace": True},
        "backbone": {
            "type": "ResNet",
            "depth": ours.depth,
            "structure_type": f"resnet{ours.depth}{deep}",
            "pretrained": False,
            "outstride": ours.output_stride,
            "use_conv3x3_stem": ours.stem == "deep",
            "selected_indices": (2, 3),
            "base_channels": ours.width,
            "stem_channels": ours.stem_channels or ours.width,
        },
        "head": {
            "in_channels": ours.width * 32,
            "feats_channels": head.channels,
            "filter_sizes": head.kernel_sizes,
            "is_fusion": head.fusion,
            "dropout": head.dropout,
        },
        "auxiliary": auxiliary[0] if len(auxiliary) == 1 else auxiliary or None,
    }


CONFIGS = {"mmsegmentation": mmsegmentation, "sssegmentation": sssegmentation}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="a finished run, runs/<key>")
    parser.add_argument("--zoo", choices=CONFIGS, required=True)
    parser.add_argument("--reference", type=Path, required=True, help="its virtual environment")
    options = parser.parse_args()
    try:
        error = check(options.run, options.zoo, options.reference)
    except DMNetError as failure:
        sys.exit(f"error: {failure}")
    print(f"{options.run}: {options.zoo} loads it; logits differ by {error:.1e} of their range")
    if not error <= LIMIT:
        sys.exit(f"error: {options.run}: expected at most {LIMIT:g}")


if __name__ == "__main__":
    main()
