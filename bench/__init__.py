"""Our models beside the reference implementation's, on this machine: `make bench`.

    __main__    the command: which measurements, in which environments
    cases       what is measured, as data
    run         one case after the other, the two sides in turn
    peer        one side's process, as the parent sees it
    worker      one side's process: prepares, compares, measures
    ours, theirs    how each side does what a case says
    limits      what the machine can do at all, and the FLOPs of a case
    statistics  medians, ratios and how sure they are
    shares      its sections on the limits
    report      reports/bench.md and reports/bench.json

mmsegmentation needs an environment of its own (tests/reference), so each side is a process, which
is asked over JSON lines. Only `cases`, `worker` and `theirs` are imported in that environment.
"""
