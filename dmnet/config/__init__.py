"""What a run is: closed, frozen schemas that own every default. No torch here."""

# ruff: noqa: F401 - everybody takes them from here

from dmnet.config.data import (
    ArchiveConfig,
    DataIdentity,
    DatasetConfig,
    DatasetRole,
    GenerateConfig,
    SplitRole,
)
from dmnet.config.jobs import (
    EVALUATION_REVISION,
    TRAINING_REVISION,
    CountConfig,
    EvaluationConfig,
    ExecutionConfig,
    InferenceConfig,
    JobConfig,
    RunConfig,
    SpeedConfig,
)
from dmnet.config.model import (
    ASPPHeadConfig,
    AuxiliaryConfig,
    BackboneConfig,
    BiSeNetV2Config,
    DilatedHeadConfig,
    DMNetHeadConfig,
    FCNHeadConfig,
    HeadConfig,
    ModelConfig,
    MultiKernelHeadConfig,
    ResNetConfig,
    WeightsConfig,
)
from dmnet.config.published import PublishedFile
from dmnet.config.recipe import OHEMConfig, RecipeConfig
from dmnet.config.release import (
    RELEASE_REVISION,
    CheckpointConfig,
    ReleaseConfig,
    ReleaseJob,
    parse_job,
)
from dmnet.config.sections import (
    Section,
    SectionT,
    canonical_json,
    content_hash,
    describe,
    parse,
    setting_path,
)
