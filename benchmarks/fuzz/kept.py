"""How the cases of each kind ended, from one command to the next.

Takes: a folder, and what ended. Gives: all that lies there. Guarantees: a kind stands there once, as it ended last;
kinds that run hours can be run one by one, and make one page.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from benchmarks.fuzz.kinds import KINDS
from benchmarks.fuzz.process import Ended, Found


def keep(ended: Ended, folder: Path) -> None:
    """Writes `KIND.json` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "kind": ended.kind,
        "what": ended.what,
        "ways": dict(ended.ways),
        "findings": [asdict(finding) for finding in ended.findings],
        "seconds": ended.seconds,
    }
    (folder / f"{ended.kind}.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def kept(folder: Path) -> list[Ended]:
    """All that lies in `folder`, in the order of the kinds."""
    return [_read(folder / f"{kind}.json") for kind in KINDS if (folder / f"{kind}.json").exists()]


def _read(file: Path) -> Ended:
    record = json.loads(file.read_text(encoding="utf-8"))
    record["ways"] = Counter(record["ways"])
    record["findings"] = [Found(**found) for found in record["findings"]]
    return Ended(**record)
