"""Where everything lies, relative to the clone: what each kind of job writes, and its log.

Only strings, so that importing it costs nothing. A rule puts `{key}` in a key's place and has
a pattern, a search puts `*` there. What dmnet writes within a folder has dmnet's names.
"""

from __future__ import annotations

KEY = "[0-9a-f]{16}"  # of a run, a released checkpoint, a count or a speed: a regular expression

RUNS, RELEASED, PREDICTIONS = "runs", "released", "predictions"  # a folder for each key
COUNTS, SPEED = "counts", "speed"  # a file for each key
DATA, REPORTS, LOGS, BENCHMARKS = "data", "reports", "logs", "benchmarks"
SOURCES = f"{DATA}/sources"  # of the real datasets, unless --config names another folder
STATE = ".snakemake/dmnet"  # what one workflow leaves for its jobs and for the next
OF_WEIGHTS = (RUNS, RELEASED)
MEASUREMENTS = (COUNTS, SPEED)
SHARED = (RUNS, RELEASED, PREDICTIONS, COUNTS, SPEED)  # by DVC, with an entry beside each result
FOLDERS = (*SHARED, DATA, REPORTS, LOGS, BENCHMARKS)  # all that rules write to

# In the folder of a run or of a released checkpoint; the weights are by far the largest.
CONFIG = "config.json"
TRAINED = "train.json"
FINISHED = "finished.json"
IMPORTED = "imported.json"
WEIGHTS = "weights.pt"
HISTORY = "history.jsonl"
PROGRESS = "progress.json"
EVALUATIONS = "evaluations"
SHARED_OF_RUN = (CONFIG, FINISHED, HISTORY, TRAINED, WEIGHTS)


def run(key: str, kind: str = RUNS) -> str:
    """The folder of a run, or of a released checkpoint where `kind` is RELEASED."""
    return f"{kind}/{key}"


def config(key: str, kind: str = RUNS) -> str:
    """Of `resolve` and `resolve_release`."""
    return f"{run(key, kind)}/{CONFIG}"


def trained(key: str, kind: str = RUNS) -> str:
    """Of `train` and `import_release`: the manifest that names the weights."""
    return f"{run(key, kind)}/{TRAINED}"


def history(key: str) -> str:
    return f"{run(key)}/{HISTORY}"


def lock(key: str) -> str:
    """The lock that a training holds."""
    return f"{RUNS}/.locks/{key}.lock"


def evaluation(key: str, name: str, kind: str = RUNS) -> str:
    """Of `evaluate` and `evaluate_release`."""
    return f"{run(key, kind)}/{EVALUATIONS}/{name}.json"


def prediction(key: str, name: str) -> str:
    """Of `predict`: the manifest of the label maps in the folder of the same stem."""
    return f"{PREDICTIONS}/{key}/{name}.json"


def trained_of(result: str) -> str:
    """The manifest of the weights that an evaluation or a prediction was made with."""
    kind, key, *_ = result.split("/")
    return trained(key, kind if kind in OF_WEIGHTS else RUNS)


def count(key: str) -> str:
    """Of `profile`."""
    return f"{COUNTS}/{key}.json"


def speed(key: str) -> str:
    """Of `speed`."""
    return f"{SPEED}/{key}.json"


def dataset(name: str) -> str:
    """The folder of a prepared dataset."""
    return f"{DATA}/{name}"


def dataset_config(name: str) -> str:
    """Of `describe`."""
    return f"{dataset(name)}.json"


def data_manifest(name: str) -> str:
    """Of `prepare`."""
    return f"{dataset(name)}/manifest.json"


def report(name: str, suffix: str = "md") -> str:
    """Of `report`, `figure`, `summary`, `submission`, `fidelity` and `page`."""
    return f"{REPORTS}/{name}.{suffix}"


def metrics(name: str, suffix: str) -> str:
    """A report as DVC reads it (dvc.yaml)."""
    return f"{REPORTS}/metrics/{name}.{suffix}"


def curves(table: str) -> str:
    return metrics(f"{table}-curves", "csv")


def log(output: str) -> str:
    """Of the job that writes `output`."""
    kind, *parts = output.removesuffix(".json").split("/")
    if kind == DATA:
        parts = parts[:1]
    elif kind in OF_WEIGHTS:
        name = "import" if output == trained(parts[0], RELEASED) else parts[-1]
        parts = [parts[0], name]
    return f"{LOGS}/{'/'.join(parts if kind == REPORTS else [kind, *parts])}.log"


def benchmark(key: str) -> str:
    """Of a training: time, memory and load, as Snakemake measured them."""
    return f"{BENCHMARKS}/{key}/train.tsv"


def entry(result: str) -> str:
    """DVC's: runs/<key>/train.json -> runs/<key>.dvc, but an evaluation's runs/<key>.<name>.dvc."""
    kind, *parts = result.split("/")
    if kind in MEASUREMENTS:
        return f"{result}.dvc"
    if kind == PREDICTIONS or EVALUATIONS in parts[1:-1]:
        own = parts[1 if kind == PREDICTIONS else -1].removesuffix(".json")
        return f"{kind}/{parts[0]}.{own}.dvc"
    return f"{kind}/{parts[0]}.dvc"
