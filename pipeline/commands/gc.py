import click


@click.command()
@click.option(
    "--preset",
    "presets",
    multiple=True,
    help="Needed is what this preset needs; may be given several times; default: all presets.",
)
@click.option("--seeds", type=int, help="Seeds per run; default: as many as there are runs of.")
@click.option("--delete", "deletes", is_flag=True, help="Delete what is listed.")
def command(presets: tuple[str, ...], seeds: int | None, deletes: bool) -> None:
    """List, or delete, results that no table needs."""
    from pipeline.inspection.unneeded import delete, megabytes, needed, render_gc, unneeded

    of_tables = needed(presets, seeds)
    entries = unneeded(of_tables)
    print(render_gc(of_tables, entries))
    if entries and deletes:
        print(f"{megabytes(delete(entries))} freed; what was pushed stays in the DVC remote")
    elif entries:
        print("nothing is deleted without --delete; the DVC remote keeps its copies even then")
