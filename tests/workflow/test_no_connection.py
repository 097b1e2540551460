"""Jobs open no connection, whatever tracking server is set; recording them, afterwards, does.

Every Python process of the workflow notes each connection that it opens or name that it looks up
(an audit hook, which no library can go around). The record's own is seen, so the hook works.
"""

from __future__ import annotations

import json

HOOK = """\
import json, os, sys

def note(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        address = arguments[1] if event != "socket.getaddrinfo" else arguments[:2]
        if isinstance(address, tuple):
            line = json.dumps({"event": event, "to": str(address), "by": sys.orig_argv})
            file = os.open(os.environ["CONNECTIONS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(file, (line + "\\n").encode())
            os.close(file)

sys.addaudithook(note)
"""


def test_only_the_record_after_the_jobs_speaks_to_the_tracking_server(small, tmp_path):
    clone = small.copy(tmp_path / "clone")
    clone.forget_runs()
    clone.forget("data")
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK)
    noted = tmp_path / "connections.jsonl"
    result = clone.snakemake(
        "reports/three.md",
        MLFLOW_TRACKING_URI="http://127.0.0.1:9",
        PYTHONPATH=str(tmp_path / "hook"),
        CONNECTIONS=str(noted),
    )
    assert result.code == 0, result.text
    assert result.jobs == {"prepare": 1, "train": 3, "evaluate": 3, "report": 1}
    assert "MLflow at http://127.0.0.1:9" in result.text
    connections = [json.loads(line) for line in noted.read_text().splitlines()]
    to_the_server = [one for one in connections if "127.0.0.1" in one["to"] and "9" in one["to"]]
    assert to_the_server, "the hook notes what the record does"
    others = [one for one in connections if one["by"][1:4] != ["-m", "pipeline", "record"]]
    assert others == []
