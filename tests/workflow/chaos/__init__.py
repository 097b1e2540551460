"""Chaos: random workflows, random signals to random processes at random moments, nothing lost.

python -m tests.workflow.chaos [--rounds 30] [--seed N]

    choices        which workflow a round runs: table, execution, cores, records
    disturbance    the processes of a command, and what is sent to which of them
    rounds         a round: disturbed, then the same command until it is done
    progress       what must not be done again: finished runs, saved states
    results        bytes, leftovers and records, beside those of an undisturbed run
"""
