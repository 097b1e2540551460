"""What jobs are given: runs, evaluations and profiles, each with the hash it is named by.

`RunConfig` holds everything that changes the trained weights and nothing else; its hash is the
run key. How a run is executed (workers, how often it saves or validates, where the data lies) is
`ExecutionConfig`, and what is done with the weights afterwards is `InferenceConfig`: both stay
outside the key.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dmnet.config.data import DataIdentity, DatasetConfig
from dmnet.config.model import ModelConfig
from dmnet.config.recipe import OHEMConfig, RecipeConfig, Size
from dmnet.config.sections import Section, content_hash
from dmnet.config.statistics import check_statistics

# Raise this by one whenever a change to the code changes trained weights: old runs then no longer
# answer for new configurations. tests/dmnet/training/test_golden_losses.py notices such a change.
TRAINING_REVISION = 1
# The same for changes that alter what an evaluation measures on given weights.
EVALUATION_REVISION = 1


class RunConfig(Section):
    """One training run, fully resolved. Its `key` addresses the run in every table."""

    revision: int = TRAINING_REVISION
    model: ModelConfig
    data: DataIdentity
    recipe: RecipeConfig
    parent: str | None = None  # key of the run whose final weights this one starts from
    seed: int = Field(0, ge=0)
    cpu_threads: int = Field(1, ge=1)  # on the CPU it changes the order of sums, so it counts

    @model_validator(mode="after")
    def _statistics(self) -> RunConfig:
        """Batch normalisation needs two values, in every part of the batch that it has alone."""
        recipe = self.recipe
        own = recipe.backbone_bn_parts or recipe.bn_parts
        check_statistics(self.model, recipe.crop_size, recipe.batch_size, recipe.bn_parts, own)
        return self

    @property
    def key(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON (sorted keys, no spaces)."""
        return content_hash(self)[:16]


# Where it computes; `auto`: on a GPU where one is there. See dmnet/devices.py.
Device = Literal["auto", "cpu", "cuda"]


class ExecutionConfig(Section):
    """How a run is carried out; none of it may change a weight, but by rounding `processes`,
    `accelerated`, `device` and, on a GPU, `deterministic`.

    What would change weights, the recipe's parts of a batch (`bn_parts`, `backbone_bn_parts`,
    `ohem.parts`) have to say: dmnet/training/share.py refuses it.
    """

    workers: int = Field(0, ge=0)  # loader processes; 0 decodes in the training process
    checkpoint_every: int = Field(ge=1)  # iterations
    validate_every: int = Field(ge=1)
    log_every: int = Field(ge=1)
    cache_mib: int = Field(0, ge=0)  # decoded images kept in memory, per process
    processes: int = Field(1, ge=1)  # that share a batch, over all nodes; one GPU each
    nodes: int = Field(1, ge=1)
    accumulate: int = Field(1, ge=1)  # parts of a batch, one after the other, before an update
    accelerated: bool = True  # see dmnet/training/acceleration.py; changes rounding
    deterministic: bool = False  # the same bits again on a GPU, too; dmnet/training/determinism.py
    device: Device = "auto"

    @model_validator(mode="after")
    def _nodes(self) -> ExecutionConfig:
        if self.processes % self.nodes:
            raise ValueError("`processes` must be a multiple of `nodes`")
        return self


class InferenceConfig(Section):
    """How a trained model is applied to an image of any size. Sizes are (height, width)."""

    mode: Literal["whole", "slide"] = "whole"
    window: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    stride: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    flip: bool = False  # the mirror image as well
    scales: tuple[Annotated[float, Field(gt=0)], ...] = Field((1.0,), min_length=1)
    fit_size: Size | None = None  # what `scales` multiply; None: the photograph's own size
    average: Literal["probabilities", "logits"] = "probabilities"
    # The order in which pictures and scores are resized: dmnet/inference/augmented.py.
    conventions: Literal["mmsegmentation", "sssegmentation"] = "mmsegmentation"

    @model_validator(mode="after")
    def _windows(self) -> InferenceConfig:
        if (self.mode == "slide") != (self.window is not None and self.stride is not None):
            raise ValueError("`window` and `stride` go with mode slide, and slide needs both")
        if (
            self.window
            and self.stride
            and any(step > side for step, side in zip(self.stride, self.window, strict=True))
        ):
            raise ValueError("`stride` must not be larger than `window`: pixels would be left out")
        return self

    @property
    def views(self) -> int:
        """What the network sees of one image: it at each scale, and mirrored."""
        return len(self.scales) * (2 if self.flip else 1)


class JobConfig(Section):
    """The file `config.json` of a run: everything `python -m dmnet train` needs."""

    run: RunConfig
    dataset: DatasetConfig
    execution: ExecutionConfig

    @model_validator(mode="after")
    def _same_data(self) -> JobConfig:
        self.dataset.check(self.run.data)
        return self


class CountConfig(Section):
    """The cost of a model's multi-scale module at one input size. Needs no weights."""

    revision: int = 1  # raise it when something else is counted
    model: ModelConfig
    input_size: tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]]


class SpeedConfig(Section):
    """Speed of inference and memory of training, as the zoos' columns state them. No weights.

    The README's "Inf time (fps)" is one image at a time through the whole protocol, "Mem (GB)" is
    the memory of one GPU's share of a training step.
    """

    revision: int = 2  # raise it when something else is measured
    model: ModelConfig
    classes: int = Field(ge=2)
    image_size: Size  # of the test image as it is loaded
    inference: InferenceConfig = InferenceConfig()
    crop_size: Size  # of the training step, as `batch_size` and `ohem`
    batch_size: int = Field(ge=1)  # on one GPU
    ohem: OHEMConfig | None = None
    precision: Literal["fp32", "amp"] = "fp32"  # of training and prediction; CPUs have fp32 only
    optimised: bool = False  # timed in the form of dmnet/inference/form.py
    warmup: int = Field(5, ge=0)  # images before those that are timed
    images: int = Field(20, ge=1)

    @model_validator(mode="after")
    def _statistics(self) -> SpeedConfig:
        check_statistics(self.model, self.crop_size, self.batch_size, 1, 1)
        return self


class EvaluationConfig(Section):
    """One evaluation of a run: which protocol, on which split, at which loaded size."""

    revision: int = EVALUATION_REVISION
    inference: InferenceConfig
    split: str
    data: DataIdentity
    load_scale: float = 1.0
    # From so many views (images x scales x mirror images) on, the model is brought into its
    # optimised form, whose scores differ by rounding; None: never. See dmnet/inference/form.py.
    optimised_from: int | None = Field(None, ge=1)
