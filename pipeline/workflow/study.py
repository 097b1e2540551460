"""What rules name: jobs, their inputs, resources and hashes, and what stands in commands."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from dmnet.errors import DMNetError
from pipeline.dvc.shareable import why_not_shared
from pipeline.experiments import PARAMS
from pipeline.records.unrecorded import unrecorded
from pipeline.reports.verdict import load_rules
from pipeline.spec.params import Params
from pipeline.workflow.hashes import Hashes
from pipeline.workflow.inputs import Inputs
from pipeline.workflow.invocation import Invocation
from pipeline.workflow.jobs import Jobs, workflow_error
from pipeline.workflow.resources import Resources
from pipeline.workflow.tree import check_writable, hand_on, hold_tree, require_here


class Study:
    """Reads Snakemake's `config`; every method is cheap, as every cluster job parses anew."""

    def __init__(
        self, config: Mapping[str, Any], in_job: bool = False, clone: Path = Path(".")
    ) -> None:
        """in_job: another Snakemake has read everything, and handed out this one job.

        clone: the Snakefile's folder, to which all paths are relative.
        """
        params = Params(PARAMS)
        try:
            require_here(clone)
            hand_on(clone)
            check_writable()
            invocation = Invocation.read(config)
            self.preset = params.preset(invocation.preset)
            self.jobs = Jobs(params, invocation, in_job)
            self.resources = Resources(invocation.preset, self.preset, params.costs())
            self.inputs = Inputs(self.jobs, invocation.sources)
            self.hashes = Hashes(self.jobs, invocation.options)
            if not in_job:
                rules = load_rules(PARAMS)
                if self.preset.judged:
                    rules.check(self.jobs.experiment)
                _ = self.jobs.known_figures  # so that a mistake in one is told now
        except DMNetError as error:
            raise workflow_error(error) from None
        # What stands in the rules' commands, whose text Snakemake compares with what it ran.
        self.options = invocation.options
        self.repeat = invocation.repeat
        self.from_mirror = invocation.from_mirror
        self.record = invocation.record
        # This interpreter: a rule must not depend on what `python` means in the user's shell.
        self.python = shlex.quote(sys.executable)
        self._begun = False
        # What jobs run in, so that a failed one leaves a mark; LOG COMMAND follow.
        self.attempt = f"{self.python} -m pipeline.attempt"

    def begin(self, rules: Iterable[Any]) -> None:
        """Before the first job: lock the tree, and note which cell leads to which output.

        rules: Snakemake's, with the resources that a profile gave them.
        """
        try:
            self.resources.check_cards(rules)
            self._tree: IO[str] = hold_tree()
        except DMNetError as error:
            raise workflow_error(error) from None
        if self.record and (reason := why_not_shared()):
            print(f"warning: results are made but not handed to DVC: {reason}", flush=True)
        self._begun = True
        # A job that SLURM queues again adds to its log instead of beginning it anew.
        os.environ.setdefault("SBATCH_OPEN_MODE", "append")
        if os.environ.get("DMNET_STEPS") == "srun":
            os.environ["DMNET_STEP"] = self.resources.job_step()
        hints = self.jobs.hints
        try:
            if self.record:
                mark = unrecorded(self.options)
                mark.parent.mkdir(parents=True, exist_ok=True)
                mark.touch()
            hints.write(self.jobs.experiment)
        except (OSError, DMNetError) as error:
            print(f"warning: {hints.path}: {error}; jobs will start more slowly")

    def end(self) -> None:
        """As Snakemake ends: where nothing was left to do, say what an earlier one left undone."""
        if self.record and not self._begun and unrecorded(self.options).exists():
            print(
                "warning: an earlier workflow ended before all its runs were recorded; "
                f"`python -m pipeline record {self.options}` records them",
                flush=True,
            )
