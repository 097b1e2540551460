"""What the Snakefile asks: the experiment of this invocation, as strings that rules can use.

Every cluster job parses the workflow anew, so all of it is cheap and imports no torch.
"""

from pipeline.workflow.study import Study

__all__ = ["Study"]
