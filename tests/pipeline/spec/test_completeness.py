"""Nothing is done by default in silence: every field of every configuration has an origin."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dmnet.config import RecipeConfig, Section
from pipeline.errors import SpecError
from pipeline.experiments import build_experiment, configuration
from pipeline.experiments.cells import MeasuredCell, TrainedCell
from pipeline.spec.params import Params
from pipeline.spec.settings import ORIGINS

PARAMS = Path(__file__).resolve().parents[3] / "params"
OVERRIDES = ("table", "preset")


def fields(config: Section, prefix: str) -> set[str]:
    """Paths of the settings of a configuration; what stands in `weights` or `ohem` is one value."""
    found = set()
    for name in type(config).model_fields:
        value, path = getattr(config, name), f"{prefix}{name}"
        if name in ("backbone", "head"):
            found |= fields(value, f"{path}.")
        elif name == "auxiliary" and value:
            found |= {p for own in value for p in fields(value[own], f"{path}.{own}.")}
        else:
            found.add(path)
    return found


@pytest.mark.parametrize("preset", Params(PARAMS).preset_names)
def test_every_setting_that_a_cell_resolves_to_has_an_origin(preset):
    experiment = build_experiment(preset, params=Params(PARAMS))
    for cell in experiment.cells:
        if isinstance(cell, MeasuredCell):
            needed = fields(cell.job.config.model, "")
        else:
            run = experiment.runs[cell.evaluations[0].run_key].job.run
            needed = fields(run.model, "") | fields(run.recipe, "recipe.")
        assert needed <= cell.settings.keys(), cell.id
        for path, setting in cell.settings.items():
            assert setting.origin in (*ORIGINS, *OVERRIDES) and setting.source, (cell.id, path)


@pytest.mark.parametrize("name", ["models/net.yaml", "models/deeper.yaml", "recipes/short.yaml"])
def test_no_line_can_be_left_out(build, folder, name):
    """Every line that gives a default; the error names file, key and the line to write."""
    path, text = folder / name, (folder / name).read_text()
    lines = [line for line in text.splitlines(keepends=True) if "the default" in line]
    assert len(lines) > 6
    for line in lines:
        path.write_text(text.replace(line, ""))
        key, value = re.fullmatch(r"\s*(\w+): {value: (.*), assumed: the default}\n", line).groups()
        with pytest.raises(SpecError) as caught:
            build()
        message = str(caught.value)
        assert message.startswith(f"{path}: no origin for `") and "\n" not in message
        assert f"{key}` ({value})" in message
        assert f'write a line such as `{key}: {{value: {value}, assumed: "why"}}`' in message


def test_a_new_field_of_a_schema_is_asked_for_whatever_its_default(build, folder, monkeypatch):
    class Wider(RecipeConfig):
        blur: float = 0.0

    monkeypatch.setattr(configuration, "RecipeConfig", Wider)
    with pytest.raises(SpecError, match=r"recipes/short.yaml: no origin for `blur` \(0.0\)"):
        build()


def test_all_that_a_new_head_lacks_is_told_in_one_line(build, folder):
    (folder / "models/deeper.yaml").write_text(
        'title: Deeper\nextends: net\nhead:\n  name: {value: aspp, stated: "here"}\n'
    )
    message = (
        "models/deeper.yaml: no origin for `head.channels` (512), "
        '`head.dilations` ([1, 12, 24, 36]), `head.bottleneck` ("3x3"), `head.dropout` (0.1); '
        'for each write a line such as `channels: {value: 512, assumed: "why"}`'
    )
    with pytest.raises(SpecError, match=re.escape(message)):
        build()


def test_a_value_with_parts_says_them_all_and_who_gave_it_is_blamed(build, edit, folder):
    edit("recipes/short.yaml", "ohem: {value: null", "ohem: {value: {min_kept: 9}")
    message = "`ohem` leaves out `ohem.threshold` (0.7), `ohem.parts` (1); say it there, too"
    with pytest.raises(SpecError, match=re.escape(f"{folder}/recipes/short.yaml: {message}")):
        build()
    edit("recipes/short.yaml", "{min_kept: 9}", "{min_kept: 9, threshold: 0.5, parts: 2}")
    build()
    edit("presets/toy.yaml", "set: {", "set: {recipe.ohem: {min_kept: 2}, ")
    with pytest.raises(SpecError, match=re.escape(f"{folder}/presets/toy.yaml: {message}")):
        build("toy")


def test_devices_are_asked_for_where_the_memory_of_one_is_measured(zoo, edit):
    zoo()
    edit("recipes/short.yaml", '  devices: {value: 2, stated: "name"}\n', "")
    with pytest.raises(SpecError, match=r"cell 'wide-memory': speed needs `recipe.devices`"):
        zoo()


def test_how_epochs_become_iterations_is_asked_for(build, edit):
    edit("recipes/short.yaml", "drop_last: {value: false", "drop_last: {value: true")
    with pytest.raises(SpecError, match=r"short.yaml: no origin for `devices` \(1\)"):
        build()
    edit("recipes/short.yaml", "  drop_last: {value: true, assumed: the default}\n", "")
    with pytest.raises(SpecError, match=r"short.yaml: no origin for `drop_last` \(false\)"):
        build()


# Keys of before each default had to be written down: the paper's runs stay theirs. To be written
# anew when TRAINING_REVISION is raised.
KEYS = Path(__file__).resolve().parents[2] / "golden" / "paper_keys.json"


@pytest.mark.parametrize("preset", ["mini", "paper", "small", "smoke"])
def test_the_paper_s_runs_keep_their_keys(preset):
    tables = [f"table{number}" for number in range(1, 10)]
    experiment = build_experiment(preset, tables=tables, params=Params(PARAMS))
    keys = {
        cell.id: cell.evaluations[0].run_key if isinstance(cell, TrainedCell) else cell.job.key
        for cell in experiment.cells
    }
    assert keys == json.loads(KEYS.read_text())[preset]
