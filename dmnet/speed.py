"""How fast a model predicts, and how much memory its training takes; with random weights.

The zoos' tables state both: "Inf time (fps)", the inference speed of one image at a time, and
"Mem (GB)", the memory of one GPU in training, as torch.cuda.max_memory_allocated counts it.

Timed is what tools/benchmark.py of mmsegmentation's releases 0.x times: from the normalised picture
to its label map, both in the host's memory, by the whole protocol (every window, scale and mirror
image, logits resized to the picture's size). Reading, resizing and normalising the picture come
before it. As there, 5 pictures go before those that count, cuDNN tries no algorithms, and a model
that is trained in mixed precision predicts in it; on a CPU both are in float32, and the result says
so, as it says what of float32 a GPU rounds to TF32. Unlike there, the picture is one and drawn, the
pictures that count are 20 and not 195, and their median stands for the mean, which a busy machine
would pull up. Where `optimised` says so it is done in the form that evaluations then use
(dmnet/inference/form.py).

Memory is that of training steps of all heads, with hard example mining where the recipe has it.
"""

from __future__ import annotations

import logging
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch

from dmnet import devices
from dmnet.config import RecipeConfig, SpeedConfig, content_hash
from dmnet.devices import out_of_memory_as, pick_device, upload
from dmnet.errors import RunError
from dmnet.inference.augmented import View, average_scores, label_map, make_views
from dmnet.inference.form import form_on, in_form
from dmnet.provenance import code_begun, code_ended, environment
from dmnet.segmentor import Segmentor
from dmnet.training.acceleration import acceleration_on
from dmnet.training.amp import uses_amp
from dmnet.training.step import Stepper

log = logging.getLogger(__name__)

TRAINING_STEPS = 3  # the second is the first that has the optimizer's momentum beside it
IGNORED = -100  # no class of any dataset


def measure(config: SpeedConfig) -> dict[str, Any]:
    """JSON-ready: `frames_per_second`, `memory_bytes`, how they were measured and where.

    Raises RunError when memory does not suffice.
    """
    device = pick_device()
    log.info("device: %s", devices.in_words(device))
    code = code_begun()
    memory = training_memory(config)  # first, while this process holds no model on the device
    seconds = prediction_seconds(config, device)
    where = environment(device)
    median = statistics.median(seconds)
    return {
        "speed": content_hash(config)[:16],
        "config": config.model_dump(mode="json"),
        "frames_per_second": 1 / median,
        "seconds": {"median": median, "min": min(seconds), "max": max(seconds)},
        "images": config.images,
        "warmup": config.warmup,
        "form": form_on(device, config.optimised).name,
        "amp": uses_amp(config, device),
        **memory,
        "device": {**where["device"], "threads": torch.get_num_threads()},
        "packages": where["packages"],
        "code": code_ended(code),
    }


@torch.no_grad()
def prediction_seconds(config: SpeedConfig, device: torch.device) -> list[float]:
    """Seconds of each of `config.images` predictions of one picture, after the warm-up."""
    size = config.image_size
    doing = f"predicting one image of {in_words(size)}"
    with out_of_memory_as(lambda: f"{doing}: out of memory; lower `image_size`"):
        torch.manual_seed(0)
        form = form_on(device, config.optimised)
        model = in_form(Segmentor(config.model, config.classes).to(device).eval(), form)
        picture = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
        # Of the recipe only mean and deviation are used, which do not change the speed.
        recipe = RecipeConfig(
            lr=1, weight_decay=0, iterations=1, batch_size=1, crop_size=config.crop_size
        )
        align_corners = config.model.align_corners
        views = list(make_views(picture, recipe, config.inference, align_corners))
        mixed = torch.autocast(device.type, torch.float16, enabled=uses_amp(config, device))
        seconds = []
        for _ in range(config.warmup + config.images):
            synchronise(device)
            start = time.perf_counter()
            there = (View(upload(view.images, device), view.mirrored) for view in views)
            with mixed:
                scores = average_scores(model, there, size, config.inference, form)
            label_map(scores).cpu()
            synchronise(device)
            seconds.append(time.perf_counter() - start)
    return seconds[config.warmup :]


def training_memory(config: SpeedConfig) -> dict[str, Any]:
    """`memory_bytes` of a few training steps, and `memory_kind`, in a process of their own.

    "cuda allocated": the peak of PyTorch's allocations on the GPU; "process peak RSS": what the
    process grew by. Raises as `measure` does.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(peak_of_training, config, torch.get_num_threads()).result()
        except BrokenProcessPool as error:
            raise RunError(
                f"{training_in_words(config)}: its process was killed, as is done when the machine "
                "runs out of memory; lower `batch_size` or `crop_size`"
            ) from error


def peak_of_training(config: SpeedConfig, threads: int) -> dict[str, Any]:
    """The same in this process, which must not have trained before."""
    torch.set_num_threads(threads)
    device = pick_device()
    before = 0 if device.type == "cuda" else process_memory("VmRSS")
    doing = training_in_words(config)
    with out_of_memory_as(lambda: f"{doing}: out of memory; lower `batch_size` or `crop_size`"):
        train_steps(config, device)
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
        return {"memory_bytes": peak, "memory_kind": "cuda allocated"}
    return {
        "memory_bytes": process_memory("VmHWM") - before,
        "memory_kind": "process peak RSS",
    }


def train_steps(config: SpeedConfig, device: torch.device) -> None:
    """The trainer's own steps, of all heads and with momentum, on random pixels and labels.

    cuDNN tries no algorithms, which takes memory: the READMEs' figures are without.
    """
    torch.manual_seed(0)
    recipe = RecipeConfig(
        lr=1e-3,
        weight_decay=5e-4,
        iterations=TRAINING_STEPS,
        batch_size=config.batch_size,
        crop_size=config.crop_size,
        precision=config.precision,
        ohem=config.ohem,
    )
    model = Segmentor(config.model, config.classes).to(device).train()
    acceleration = acceleration_on(device)._replace(tried_convolutions=False)
    stepper = Stepper(model, recipe, IGNORED, device, acceleration=acceleration)
    shape = (config.batch_size, *config.crop_size)
    for number in range(TRAINING_STEPS):
        images = torch.randn(shape[0], 3, *shape[1:])
        labels = torch.randint(0, config.classes, shape, dtype=torch.uint8)
        stepper.step(images, labels, number)


def process_memory(name: str) -> int:
    """Bytes: what this process occupies (VmRSS) or has occupied at most (VmHWM). Linux.

    Not getrusage: its peak is inherited from the process that started this one.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RunError(f"/proc/self/status: no {name}; memory is measured on Linux only")


def training_in_words(config: SpeedConfig) -> str:
    return f"training on {config.batch_size} crops of {in_words(config.crop_size)}"


def in_words(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]} pixels"


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
