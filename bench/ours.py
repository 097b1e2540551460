"""Our side: `Segmentor` with the reference's weights, and the trainer's own step."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from bench import worker
from bench.cases import IN_HALF, LOSS_SCALE, MODELS, ON_DISK, SCALES, Case
from dmnet.config import (
    DatasetConfig,
    ExecutionConfig,
    InferenceConfig,
    JobConfig,
    ModelConfig,
    RecipeConfig,
    RunConfig,
)
from dmnet.data.augment import normalise, resize_image, resize_label
from dmnet.data.dataset import SegmentationDataset, training_batches
from dmnet.data.manifest import Manifest
from dmnet.importers import ZOOS
from dmnet.inference.augmented import label_map, predict_scores
from dmnet.inference.form import OPTIMISED, in_form
from dmnet.optimised import Options, optimised
from dmnet.private.memory import keep_large_blocks
from dmnet.segmentor import Segmentor
from dmnet.training.trainer import Trainer


def model_config(case: Case) -> ModelConfig:
    return ModelConfig.model_validate(MODELS[case.model].ours)


def load_theirs(model: Segmentor, case: Case, folder: Path) -> None:
    state = torch.load(folder / f"{case.model}.pt", weights_only=True)
    model.load_state_dict(ZOOS["mmsegmentation"].to_ours(state, model))


class Forward:
    def __init__(self, case: Case, folder: Path, device: torch.device) -> None:
        self.model = Segmentor(model_config(case), MODELS[case.model].classes)
        load_theirs(self.model, case, folder)
        self.model.to(device).eval()
        self.images = worker.images(case, device)

    def outputs(self) -> dict[str, Tensor]:
        return {"logits": self._forward()}

    def run(self) -> None:
        self._forward()

    @torch.no_grad()
    def _forward(self) -> Tensor:
        return self.model(self.images).main


class ForwardOptimised(Forward):
    """The same after `optimised`."""

    options = Options()

    def __init__(self, case: Case, folder: Path, device: torch.device) -> None:
        super().__init__(case, folder, device)
        self.model = optimised(self.model, self.options)


class ForwardBf16(ForwardOptimised):
    options = Options(precision="bf16")


class Evaluation(Forward):
    """From a picture to its label map, as evaluations do it in their optimised form."""

    protocol = InferenceConfig(scales=SCALES, flip=True)

    def __init__(self, case: Case, folder: Path, device: torch.device) -> None:
        super().__init__(case, folder, device)
        self.model = in_form(self.model, OPTIMISED)
        pixels = torch.from_numpy(worker.picture(case.height, case.width))
        self.picture = pixels.permute(2, 0, 1).contiguous()
        self.recipe, self.device = recipe(case), device

    def outputs(self) -> dict[str, Tensor]:
        return {"probabilities": self._scores()}

    def run(self) -> None:
        label_map(self._scores())

    def _scores(self) -> Tensor:
        return predict_scores(
            self.model, self.picture, self.recipe, self.protocol, OPTIMISED, self.device
        )


class Data:
    """The trainer's own loader, decoding in this process."""

    def __init__(self, case: Case, folder: Path, device: torch.device) -> None:
        config = dataset_config(case)
        pairs = worker.write_photographs(folder, case.batch, len(config.classes))
        (folder / "lists").mkdir(exist_ok=True)
        (folder / "lists" / "train.txt").write_text(
            "".join(f"{image.name} {label.name}\n" for image, label in pairs)
        )
        manifest = unprepared(config, folder, {"train": case.batch})
        self.recipe = recipe(case)
        self.dataset = SegmentationDataset(manifest, "train", config.identity_of("train"))
        self.batches = iter(training_batches(self.dataset, self.recipe, 0, 0, 0, False))

    def outputs(self) -> dict[str, Tensor]:
        """What is read, at three quarters of its size; augmentation draws other numbers here."""
        image, label = self.dataset.read(0)
        size = ON_DISK[0] * 3 // 4, ON_DISK[1] * 3 // 4
        image = normalise(resize_image(image, size), self.recipe)
        return {"image": image, "label": resize_label(label, size)}

    def run(self) -> None:
        next(self.batches)


class TrainStep:
    """A trainer that is given its batches by hand: it never opens the data that it names."""

    def __init__(self, case: Case, folder: Path, device: torch.device) -> None:
        self.folder = tempfile.TemporaryDirectory()
        job = training_job(case)
        manifest = unprepared(job.dataset, folder, {})
        self.trainer = Trainer(job, Path(self.folder.name), manifest, folder)
        load_theirs(self.trainer.model, case, folder)
        self.trainer.model.train()
        self.images = worker.images(case, device)
        self.labels = worker.labels(case, MODELS[case.model].classes, device)

    def outputs(self) -> dict[str, Tensor]:
        with worker.without_dropout(self.trainer.model):
            self.run()
        return {"loss": torch.as_tensor(self.trainer.loss_means.own["total"])}

    def run(self) -> None:
        self.trainer._step(self.images, self.labels)


class TrainStepBf16(TrainStep):
    """The same in bfloat16, in which no recipe trains: only what PyTorch casts to is another."""

    def run(self) -> None:
        before = torch.get_autocast_dtype("cuda")
        torch.set_autocast_dtype("cuda", torch.bfloat16)
        try:
            super().run()
        finally:
            torch.set_autocast_dtype("cuda", before)


def dataset_config(case: Case) -> DatasetConfig:
    return DatasetConfig(
        name="none",
        title="none",
        layout="cityscapes",
        classes=tuple(str(number) for number in range(MODELS[case.model].classes)),
        splits={"train": "train", "val": "val"},
    )


def unprepared(config: DatasetConfig, folder: Path, splits: dict[str, int]) -> Manifest:
    """Of files that nobody prepared."""
    return Manifest(
        folder=folder,
        dataset=config.name,
        layout=config.layout,
        root=folder,
        fingerprint="",
        splits=splits,
        stand_in=True,
    )


def recipe(case: Case) -> RecipeConfig:
    """mmsegmentation's on Cityscapes."""
    return RecipeConfig(
        **worker.SGD,
        iterations=1_000_000,  # so the learning rate stays what it is on the other side
        batch_size=case.batch,
        crop_size=(case.height, case.width),
        fit_size=ON_DISK,
        cat_max_ratio=0.75,
        photometric=True,
        loss_average="all",
        precision="amp" if case.kind in IN_HALF else "fp32",
        loss_scale=LOSS_SCALE.get(case.kind),
    )


def training_job(case: Case) -> JobConfig:
    """The published rows' kind of training, on a dataset that is only a name."""
    dataset = dataset_config(case)
    run = RunConfig(
        model=model_config(case),
        data=dataset.identity,
        recipe=recipe(case),
        cpu_threads=torch.get_num_threads(),
    )
    execution = ExecutionConfig(checkpoint_every=1, validate_every=1, log_every=1)
    return JobConfig(run=run, dataset=dataset, execution=execution)


KINDS: dict[str, Callable[[Case, Path, torch.device], worker.Job]] = {
    "forward": Forward,
    "forward_optimised": ForwardOptimised,
    "forward_bf16": ForwardBf16,
    "train_step": TrainStep,
    "train_step_amp": TrainStep,
    "train_step_bf16": TrainStepBf16,
    "evaluation": Evaluation,
    "data": Data,
}


def make(case: Case, folder: Path, device: torch.device) -> worker.Job:
    return KINDS[case.kind](case, folder, device)


if __name__ == "__main__":
    keep_large_blocks()  # as `python -m dmnet` does; nothing was allocated yet
    worker.serve(make)
