"""Which inputs of a job Snakemake compares by time: not those of a colleague's results.

DVC gives files whatever times it likes, and data are often prepared here later. So a result that
this clone did not make is judged by what it says of itself: the hashes of the weights and the
fingerprint of the data that it was made with. One that was made here is judged by Snakemake.

Its own triggers were tried in place of this: of a file that it has no record of it compares the
times, which no option turns off. Inputs that are always `ancient`, with the fingerprint among the
`params`, would leave a colleague's result of other data in its place, as params are compared with a
record only.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dmnet.errors import DMNetError
from dmnet.files import read_json

# A file for each output that Snakemake has made here. Its `persistence` answers only for objects of
# its own, which an input function does not have.
RECORDS = Path(".snakemake/metadata")

Ancient = Callable[[str], Any]  # Snakemake's flag for an input whose time does not count


def is_settled(output: str, named: str, trained: str | None) -> bool:
    """Whether `output` came from elsewhere and is of the weights that the run `trained` has here.

    named: the entry of `output` with the SHA-256 of the weights it was made with. trained: the
    run's manifest; None where no other run's weights play a part.
    """
    record = RECORDS / base64.urlsafe_b64encode(output.encode()).decode()
    if not Path(output).exists() or record.exists():  # not here, or made here
        return False
    if trained is None:
        return True
    try:
        used = read_json(Path(output))[named]
        return bool(read_json(Path(trained))["weights"]["sha256"] == used)
    except (DMNetError, KeyError, TypeError):
        return False


def data_of(made_with: str, manifest: str, settled: bool, ancient: Ancient) -> Any:
    """The dataset's `manifest` as an input.

    It makes a result out of date when its fingerprint is another than in `made_with`, a JSON file,
    not when it is newer; and a settled result needs no data here. `ancient` works only for a file
    that exists.
    """
    try:
        used = read_json(Path(made_with))["data_fingerprint"]
        if not Path(manifest).exists():
            return [] if settled else manifest
        same = read_json(Path(manifest))["fingerprint"] == used
    except (DMNetError, KeyError, TypeError):
        return manifest  # not made, or not readable: then times decide
    return ancient(manifest) if same else manifest
