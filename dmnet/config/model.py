"""What is trained: backbone, head, and the auxiliary heads of deep supervision.

A field with one legal value is a constant of the code: what the code does where a source could have
said otherwise. It is a field so that params/ must say where it comes from, as of every setting, and
stands in no key. tests/dmnet/test_constants.py compares these fields with the code.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from dmnet.config.published import FILE_NAME, SHA256_PREFIX, Address, PublishedFile
from dmnet.config.sections import Section


class WeightsConfig(Section):
    """Published weights that a backbone starts from, identified by the SHA-256 of the file."""

    unhashed: ClassVar[frozenset[str]] = frozenset({"name", "file", "url"})

    name: str
    file: str = Field(pattern=FILE_NAME)
    url: Address
    sha256_prefix: str = Field(pattern=SHA256_PREFIX)

    @property
    def published(self) -> PublishedFile:
        return PublishedFile(file=self.file, urls=(self.url,), sha256_prefix=self.sha256_prefix)


class ResNetConfig(Section):
    name: Literal["resnet"] = "resnet"
    depth: Literal[50, 101] = 50
    stem: Literal["plain", "deep"] = "plain"  # one 7x7 convolution, or three 3x3 (ResNetV1c)
    output_stride: Literal[8, 16] = 8
    width: int = Field(64, ge=4, multiple_of=4)  # channels of the blocks; 64 is the published one
    stem_channels: int | None = Field(None, ge=2, multiple_of=2)  # after the stem; None: `width`
    weights: WeightsConfig | None = None
    stride_in: Literal["3x3"] = "3x3"  # the convolution of a block that has its stride ("v1.5")
    first_dilation: Literal["halved"] = "halved"  # of the first block of a dilated stage


Channels = Annotated[int, Field(ge=1)]


class BiSeNetV2Config(Section):
    """Detail and semantic branches, merged by guided aggregation (Yu et al., IJCV 2021)."""

    name: Literal["bisenetv2"] = "bisenetv2"
    detail_channels: tuple[Channels, Channels, Channels] = (64, 64, 128)
    semantic_channels: tuple[Channels, Channels, Channels, Channels] = (16, 32, 64, 128)
    expansion: int = Field(6, ge=1)  # of the gather-and-expansion layers
    aggregation_channels: int = Field(128, ge=1)
    weights: None = None  # trained from scratch

    @model_validator(mode="after")
    def _widths(self) -> BiSeNetV2Config:
        if self.semantic_channels[0] < 2:
            raise ValueError("semantic_channels must start with 2 or more: the stem halves them")
        merged = {self.detail_channels[-1], self.semantic_channels[-1], self.aggregation_channels}
        if len(merged) > 1:
            raise ValueError(
                "the last of detail_channels, the last of semantic_channels and "
                "aggregation_channels must be equal: the branches are multiplied"
            )
        return self


BackboneConfig = Annotated[ResNetConfig | BiSeNetV2Config, Field(discriminator="name")]


class DMNetHeadConfig(Section):
    """Context-aware filters: one Dynamic Convolutional Module per kernel size."""

    name: Literal["dmnet"] = "dmnet"
    channels: int = Field(512, ge=4)
    kernel_sizes: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 3, 5, 7), min_length=1)
    fusion: bool = True  # the 1x1 convolution after the dynamic one, section 3.2
    context_stage: Literal[2, 3, 4, 5] = 5  # whose features generate the filters, Table 4
    context: Literal["average"] = "average"  # over k x k bins (adaptive pooling)
    generator: Literal["1x1 with bias"] = "1x1 with bias"  # then neither BN nor ReLU
    even_kernels: Literal["left and top"] = "left and top"  # where their extra padding lies
    bottleneck: Literal["3x3"] = "3x3"  # of the branches and the backbone's feature, to `channels`
    dropout: float = Field(0.1, ge=0, lt=1)


class MultiKernelHeadConfig(Section):
    """Table 1's traditional filters: fixed k x k convolutions, regular or depthwise."""

    name: Literal["multi_kernel"] = "multi_kernel"
    channels: int = Field(512, ge=4)
    kernel_sizes: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 3, 5, 7), min_length=1)
    depthwise: bool = False
    fusion: bool = True
    even_kernels: Literal["left and top"] = "left and top"
    bottleneck: Literal["3x3"] = "3x3"
    dropout: float = Field(0.1, ge=0, lt=1)


class DilatedHeadConfig(Section):
    """Table 2's dilated filters: 3 x 3 convolutions, one dilation rate per branch."""

    name: Literal["dilated"] = "dilated"
    channels: int = Field(512, ge=4)
    kernel_size: Literal[3] = 3
    dilations: tuple[Annotated[int, Field(ge=1)], ...] = Field((6, 12, 24, 36), min_length=1)
    depthwise: bool = False
    fusion: bool = True
    bottleneck: Literal["3x3"] = "3x3"
    dropout: float = Field(0.1, ge=0, lt=1)


class FCNHeadConfig(Section):
    """Convolutions and a classifier; with one 3x3 convolution it is DMNet without its DCMs."""

    name: Literal["fcn"] = "fcn"
    channels: int = Field(512, ge=4)
    convolutions: int = Field(1, ge=0)
    kernel_size: Literal[3] = 3
    concat_input: bool = False
    dropout: float = Field(0.1, ge=0, lt=1)


class ASPPHeadConfig(Section):
    """DeepLabV3: atrous spatial pyramid pooling with image-level features."""

    name: Literal["aspp"] = "aspp"
    channels: int = Field(512, ge=4)
    dilations: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 12, 24, 36), min_length=1)
    bottleneck: Literal["3x3"] = "3x3"
    dropout: float = Field(0.1, ge=0, lt=1)


HeadConfig = Annotated[
    DMNetHeadConfig | MultiKernelHeadConfig | DilatedHeadConfig | FCNHeadConfig | ASPPHeadConfig,
    Field(discriminator="name"),
]


class AuxiliaryConfig(Section):
    """Deep supervision: a further head on an earlier stage, during training only."""

    head: HeadConfig
    stage: Literal[2, 3, 4, 5] = 4  # the paper's numbering: stage 5 is the last of ResNet
    weight: float = Field(0.4, gt=0)


class ModelConfig(Section):
    backbone: BackboneConfig
    head: HeadConfig
    auxiliary: dict[str, AuxiliaryConfig] = {}  # by a name of one's own, such as stage4
    align_corners: bool = False
    # he: as in mmsegmentation (dmnet/layers.py); torch: PyTorch's own start of every layer, as in
    # sssegmentation. Published weights replace the backbone's.
    initialisation: Literal["he", "torch"] = "he"
    # After every convolution of a head but the classifier and DMNet's filter generator.
    normalisation: Literal["BN, ReLU"] = "BN, ReLU"
    batch_norm: Literal["eps 1e-5, momentum 0.1"] = "eps 1e-5, momentum 0.1"
    dropout_of: Literal["channels"] = "channels"  # whole maps, just before the classifier
    classifier: Literal["1x1 with bias"] = "1x1 with bias"
    upsampling: Literal["bilinear"] = "bilinear"  # of the scores, to the labels' or image's size
