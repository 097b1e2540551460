import click


@click.command()
def command() -> None:
    """Whether DVC's entries name only their own results' files.

    Asked before a plain `dvc pull`, which follows them.
    """
    from pipeline.records.sharing import check

    print(check())
