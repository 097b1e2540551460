"""Every setting of a cell with its value, origin and source."""

from __future__ import annotations

import json

from tabulate import tabulate

from pipeline.spec.settings import Setting, Settings, part_of

ORDER = ("assumed", "inherited", "derived", "stated", "table", "preset")  # the doubtful ones first
VALUE_WIDTH = 40  # characters of a setting's value before it is broken


def settings_table(settings: Settings) -> str:
    """A table, assumed values first, and within an origin part by part."""

    def doubt(item: tuple[str, Setting]) -> tuple[int, int]:
        path, origin = item[0], item[1].origin
        return ORDER.index(origin) if origin in ORDER else len(ORDER), part_of(path)

    rows = [
        [path, json.dumps(setting.value, ensure_ascii=False), setting.origin, setting.source]
        for path, setting in sorted(settings.items(), key=doubt)
    ]
    assumed = sum(setting.origin == "assumed" for setting in settings.values())
    table = tabulate(
        rows,
        ["setting", "value", "origin", "source"],
        tablefmt="simple",
        disable_numparse=True,
        maxcolwidths=[None, VALUE_WIDTH, None, None],
    )
    return f"Settings: {len(settings)}, of which {assumed} assumed\n{table}"
