"""The numbers of the paper's running text against `params/`, and what `params/` cites of it.

As source_tables.py: one line per difference, and lists of what differs on purpose, with reasons.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from pipeline.spec.params import Params
from pipeline.spec.yaml_files import load_yaml
from tests.pipeline.spec.source_tables import PAPER

KERNELS = "kernel sizes of the modules: labels and settings of Table 1"
RATES = "dilation rates: labels and settings of Table 2"
BRANCHES = "the dilated filters' kernels, which the head has in code"
METHOD = "describes the module, no setting of a run"

# (section, number as written) -> the places in params/ that hold it, or why none does. A place is a
# cell, whose published number it is, `claims` (some claim is about it) or `file: key`.
HELD: dict[tuple[str, str], list[str] | str] = {
    ("abstract", "84.4%"): ["table7/miou", "claims"],
    ("1", "84.4%"): ["table7/miou", "claims"],
    ("3.2", "1x1"): METHOD,
    ("3.3", "1x1"): METHOD,
    ("4.1", "2"): "the dilation of stage 4, which output stride 8 gives",
    ("4.1", "4"): "the dilation of stage 5, which output stride 8 gives",
    ("4.1", "1/8"): ["models/dmnet: backbone.output_stride"],
    ("4.1", "512x512"): ["recipes/paper-voc: crop_size", "recipes/paper-context: crop_size"],
    ("4.1", "576x576"): ["recipes/paper-ade20k: crop_size"],
    ("4.1", "0.5"): ["recipes/paper-voc: scale_range"],
    ("4.1", "2.0"): ["recipes/paper-voc: scale_range"],
    ("4.1", "0.01"): ["recipes/paper-voc: lr", "recipes/paper-ade20k: lr"],
    ("4.1", "0.005"): ["recipes/paper-context: lr"],
    ("4.1", "1"): "of the formula of the schedule",
    ("4.1", "0.9"): ["recipes/paper-voc: power", "recipes/paper-voc: momentum"],
    ("4.1", "0.0001"): ["recipes/paper-voc: weight_decay"],
    ("4.1", "80"): ["recipes/paper-voc: epochs", "recipes/paper-context: epochs"],
    ("4.1", "120"): ["recipes/paper-ade20k: epochs"],
    ("4.2", "21"): ["datasets/voc2012aug: classes"],
    ("4.2", "1,464"): ["datasets/voc2012aug: counts.train"],
    ("4.2", "10,582"): ["datasets/voc2012aug: counts.trainaug"],
    ("4.2", "{1}"): KERNELS,
    ("4.2", "{1,3}"): KERNELS,
    ("4.2", "{1,3,5}"): KERNELS,
    ("4.2", "{1,3,5,7}"): ["models/dmnet: head.kernel_sizes"],
    ("4.2", "7%"): ["claims"],
    ("4.2", "77.75%"): ["table1/context-aware-1"],
    ("4.2", "78.52%"): ["table1/context-aware-1-3"],
    ("4.2", "3x3"): BRANCHES,
    ("4.2", "3"): BRANCHES,
    ("4.2", "{3,3,3,3}"): BRANCHES,
    ("4.2", "{2,4,8,12}"): RATES,
    ("4.2", "{6,12,18,24}"): RATES,
    ("4.2", "{6,12,24,36}"): ["models/dilated: head.dilations"],
    ("4.2", "512x512"): ["table3: input_size"],
    ("4.2", "8.38%"): ["claims"],
    ("4.2", "3.58%"): ["claims"],
    ("4.2", "6.41%"): ["claims"],
    ("4.2", "76.24%"): ["table5/fcn-r101"],
    ("4.2", "69.83%"): ["table5/fcn-r50"],
    ("4.2", "82.82%"): ["table6/ds-flip-ms-ft", "claims"],
    ("4.2", "84.4%"): ["table7/miou", "claims"],
    ("4.2", "87.06%"): "with MS COCO pre-training, which nothing here repeats",
    ("4.3", "4,998"): [f"datasets/pascal-context-{n}: counts.train" for n in (59, 60)],
    ("4.3", "5,105"): [f"datasets/pascal-context-{n}: counts.val" for n in (59, 60)],
    ("4.3", "54.4%"): ["table8/dmnet-60", "claims"],
    ("4.4", "20K"): "20,210 images, rounded",
    ("4.4", "2K"): ["datasets/ade20k: counts.validation"],
    ("4.4", "3K"): "test images, which nothing here uses",
    ("4.4", "150"): ["datasets/ade20k: classes"],
    ("4.5", "{1,3,5,7}"): KERNELS,
    ("4.5", "{6,12,24,36}"): RATES,
    ("4.5", "77.6%"): ["table2/regular-6-12-24-36"],
}
# Settings that `params/` calls stated in a section, by a number that the section does not print.
IN_WORDS = {
    "backbone.depth": "ResNet50",
    "head.context_stage": "the filters come from the module's own input",
}


def running_text(params: Params) -> Iterator[str]:
    """The text's numbers against the places that hold them, and the other way round."""
    stated = {
        (found["section"], number): f"paragraph {found['paragraph']}, sentence {found['sentence']}"
        for found in PAPER["numbers"]
        for number in found["numbers"]
    }
    claimed = claimed_figures(params)
    for (section, number), sentence in stated.items():
        where = f"section {section} ({sentence}): {number}"
        places = HELD.get((section, number))
        if places is None:
            yield f"{where} stands in no place of params/ and not in HELD"
        elif isinstance(places, str) and number_of(number) in claimed:
            yield f"{where} is what a claim is about, but HELD says that nothing holds it"
        elif not isinstance(places, str):
            for place in places:
                values = claimed if place == "claims" else at(params, place)
                if not any(holds(value, number) for value in values):
                    yield f"{where}; params/ has {values} at {place}"
    for key in set(HELD) - set(stated):
        yield f"section {key[0]}: {key[1]} is in HELD, but not in the section"
    yield from _stated_settings(params)
    yield from _places(params)


def _places(params: Params) -> Iterator[str]:
    """Every place that a claim names is there, and has the figure that the claim is about."""
    counts = {(f["section"], f["heading"]): f["sentences"] for f in PAPER["paragraphs"]}
    numbers = {
        tuple(found[key] for key in ("section", "heading", "paragraph", "sentence")): [
            number_of(number) for number in found["numbers"]
        ]
        for found in PAPER["numbers"]
    }
    for claim in claims(params):
        place, name = claim["where"], f"claims.yaml: {claim['id']}"
        if "sentence" not in place:
            continue
        text = place["section"], place.get("heading", "")
        paragraph, sentence = place.get("paragraph", 1), place["sentence"]
        if sentence > sum(counts.get(text, [])[paragraph - 1 : paragraph]):
            yield f"{name}: no sentence {sentence} in paragraph {paragraph} of {' '.join(text)}"
        about = claim.get("predicate", {}).get("about")
        if about is not None and about not in (
            found := numbers.get((*text, paragraph, sentence), [])
        ):
            yield f"{name}: is about {about}, but {found} stand there"


def _stated_settings(params: Params) -> Iterator[str]:
    """What is `stated: section ...` as a number stands in the section as one."""
    seen, numbers = set(), defaultdict(list)
    for found in PAPER["numbers"]:
        numbers[found["section"]] += found["numbers"]
    for kind, read in (("recipes", params.recipe), ("models", params.model)):
        for path in sorted((params.folder / kind).glob("*.yaml")):
            for key, setting in read(path.stem, "the test").items():
                section = re.match(r"section (\d\.\d)", setting.source)
                if setting.origin != "stated" or not section or not _numeric(setting.value):
                    continue
                if key in IN_WORDS:
                    seen.add(key)
                elif not _stated(setting.value, numbers[section[1]]):
                    yield f"{kind}/{path.stem}: {key} = {setting.value!r} is not in {section[0]}"
    yield from (f"{key} is in IN_WORDS, but nothing states it so" for key in set(IN_WORDS) - seen)


def _stated(value: Any, texts: list[str]) -> bool:
    """Whether it is among the numbers, as one or, a list, each of its own."""
    if isinstance(value, list) and not any(number_of(text) == value for text in texts):
        return all(_stated(part, texts) for part in value)
    return any(number_of(text) == value for text in texts)


def _numeric(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def claims(params: Params) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = load_yaml(params.folder / "claims.yaml")["claims"]
    return found


def claimed_figures(params: Params) -> list[float]:
    """What the claims are about."""
    predicates = [claim.get("predicate", {}) for claim in claims(params)]
    return [predicate["about"] for predicate in predicates if "about" in predicate]


def number_of(text: str) -> Any:
    """ "54.4%" -> 54.4, "2K" -> 2000, "512x512" and "{1,3}" -> lists, "1/8" -> 8."""
    if text.startswith("{") or "x" in text:
        return [int(part) for part in re.split("[x,]", text.strip("{}"))]
    plain = text.replace(",", "").removeprefix("1/")
    return float(plain.rstrip("%K")) * (1000 if plain.endswith("K") else 1)


def holds(value: Any, text: str) -> bool:
    """Whether a value of params/ is the number: equal, or one of two, or so many names."""
    number = number_of(text)
    if isinstance(value, list | tuple) and not isinstance(number, list):  # one of two, or a count
        return number in value or (isinstance(value[0], str) and len(value) == number)
    return bool((list(value) if isinstance(value, tuple) else value) == number)


def at(params: Params, place: str) -> list[Any]:
    """The values at a place: `table/cell`, `table: input_size` or `folder/file: key`."""
    file, _, key = place.partition(": ")
    folder, _, name = file.rpartition("/")
    if key == "input_size":
        cells = [cell for _, _, cell in params.table(file).cells()]
        return sorted({cell.profile.input_size for cell in cells if cell.profile is not None})
    if not key:
        cells = [cell for _, _, cell in params.table(folder).cells()]
        return [cell.published for cell in cells if cell.cell == name]
    if folder == "recipes":
        return [params.recipe(name, "the test")[f"recipe.{key}"].value]
    if folder == "models":
        return [params.model(name, "the test")[key].value]
    value: Any = params.dataset(name, "the test")
    for part in key.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return [value]
