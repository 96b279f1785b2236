"""What a measurement ran on, in words: no names of hosts, users or folders."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

LIBRARIES = ("torch", "torchvision", "timm", "lightly", "transformers", "open_clip_torch", "stable-pretraining")


def machine() -> str:
    """Number of cores and the processor."""
    return f"{os.cpu_count()} cores, {_processor()}, {platform.system()}"


def versions() -> str:
    """Python's and those of the libraries that are installed here."""
    found = [f"Python {platform.python_version()}"]
    for name in LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()
