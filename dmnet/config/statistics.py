"""Where batch normalisation would have one value per channel, which has no statistics.

One image in a part of the batch is enough where a map has several pixels, and too few where a
module normalises the mean of the whole map: DeepLabV3's image pooling and BiSeNetV2's context
embedding. PyTorch refuses the first such step; several processes would go on with NaN.
"""

from __future__ import annotations

from dmnet.config.model import ASPPHeadConfig, BiSeNetV2Config, HeadConfig, ModelConfig


def check_statistics(
    model: ModelConfig, crop: tuple[int, int], batch: int, parts: int, backbone_parts: int
) -> None:
    """Raises ValueError, naming module and remedy, where a part of the batch is one value.

    crop: (height, width) in pixels; parts, backbone_parts: of `batch`, with statistics of their own
    in the heads and in the backbone.
    """
    heads: list[HeadConfig] = [model.head, *(each.head for each in model.auxiliary.values())]
    pools = isinstance(model.backbone, BiSeNetV2Config)
    normalised = [(f"backbone {model.backbone.name}", pools, backbone_parts)]
    normalised += [(f"head {h.name}", isinstance(h, ASPPHeadConfig), parts) for h in heads]
    stride = 1 if isinstance(model.backbone, BiSeNetV2Config) else model.backbone.output_stride
    pixels = -(-crop[0] // stride) * -(-crop[1] // stride)  # of the smallest map
    for name, whole, cut in normalised:
        if batch // cut * (1 if whole else pixels) < 2:
            why = "pools whole maps" if whole else f"has maps of 1 pixel at crops of {crop}"
            raise ValueError(
                f"recipe.batch_size: {batch} image(s) in {cut} part(s) with statistics of their "
                f"own, but {name} {why} and needs two images or more in each; raise batch_size"
                + (", or lower bn_parts (and execution.accumulate)" if cut > 1 else "")
            )
