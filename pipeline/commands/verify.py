import click


@click.command()
@click.option("--quick", is_flag=True, help="Do not read the datasets' images.")
@click.option(
    "--repair", "repairs", is_flag=True, help="First bring recorded copies of damaged files back."
)
def command(quick: bool, repairs: bool) -> None:
    """Check every hash, from the reports down to the data."""
    from pipeline.inspection.verify import verify
    from pipeline.inspection.verify.findings import refuse
    from pipeline.inspection.verify.repair import repair

    for line in repair() if repairs else ():
        print(line)
    findings = verify(quick=quick)
    for line in findings.absent:
        print(line)
    for line in findings.noted:
        print(f"more than one code: {line}")
    for line in findings.wrong:
        print(f"does not fit: {line}")
    print(findings.summary())
    refuse(findings)
