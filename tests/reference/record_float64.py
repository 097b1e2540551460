"""Record tests/golden/float64.pt: what the float32 fixtures hold, as the references give it in
float64.

    PYTHONPATH=tests/reference/site <reference python> tests/reference/record_float64.py

`steps`: the two steps of mmseg_train_dmnet_r50d8.pt, in that file's layout.
`logits`: fixture -> case -> {"logits", "auxiliary": one per head}, of the fixture's checkpoint and
input. sssegmentation's are not among them: in float32 they are a third of the limit apart at most.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import register_all_modules
from record_training import GOLDEN, gradient_norms, without_dropout
from torch import Tensor

FIXTURES = (
    "mmseg_dmnet_r50d8",
    "mmseg_dmnet_r50d8_769",
    "mmseg_deeplabv3_r50d8",
    "mmseg_fcn_r50d8",
    "mmseg_bisenetv2",
    "mmseg_dmnet_r50d16",
    "mmseg_deeplabv3_r101d16",
)
CASES = ("case_65x97", "case_64x64_b2")


def load(name: str) -> Any:
    return torch.load(GOLDEN / f"{name}.pt", weights_only=True)


def built(fixture: dict[str, Any], config: dict[str, Any]) -> torch.nn.Module:
    model = MODELS.build(copy.deepcopy(config))
    model.load_state_dict(fixture["checkpoint"]["state_dict"])
    return model.double()


def steps(recorded: dict[str, Any]) -> dict[str, Any]:
    fixture = load(recorded["weights"])
    model = built(fixture, without_dropout(json.loads(fixture["config_json"]))).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=label[None].long())) for label in recorded["target"]
    ]
    names = [name for name, _ in model.named_parameters()]
    found = []
    for _ in recorded["steps"]:
        optimizer.zero_grad()
        total, log = model.parse_losses(model.loss(recorded["input"].double(), samples))
        total.backward()
        norms = dict(zip(names, gradient_norms(model).tolist(), strict=True))
        losses = {key: float(value.detach()) for key, value in log.items()}
        found.append({"losses": losses, "total": float(total.detach()), "grad_norm": norms})
        optimizer.step()
    state = model.state_dict()
    stats = {key: {"abs": float(tensor.double().abs().sum())} for key, tensor in state.items()}
    return {
        "steps": found,
        "post_state_stats": stats,
        "conv_seg_after": state["decode_head.conv_seg.weight"],
        "conv_seg_bias_after": state["decode_head.conv_seg.bias"],
    }


@torch.no_grad()
def logits(name: str) -> dict[str, dict[str, Tensor | list[Tensor]]]:
    fixture = load(name)
    model = built(fixture, json.loads(fixture["config_json"])).eval()
    found = {}
    for case in CASES:
        features = model.extract_feat(fixture[case]["input"].double())
        heads = model.auxiliary_head if model.with_auxiliary_head else []
        heads = heads if isinstance(heads, list | torch.nn.ModuleList) else [heads]
        auxiliary = [head(features) for head in heads]
        found[case] = {"logits": model.decode_head(features), "auxiliary": auxiliary}
    return found


def main() -> None:
    register_all_modules()
    torch.set_num_threads(1)
    recorded = {
        "steps": steps(load("mmseg_train_dmnet_r50d8")),
        "logits": {name: logits(name) for name in FIXTURES},
    }
    torch.save(recorded, GOLDEN / "float64.pt")
    for name, cases in recorded["logits"].items():
        for case, found in cases.items():
            theirs, exact = load(name)[case]["logits"], found["logits"]
            span = float(exact.max() - exact.min())
            print(name, case, "float32 off by", float((theirs - exact).abs().max()) / span)


if __name__ == "__main__":
    main()
