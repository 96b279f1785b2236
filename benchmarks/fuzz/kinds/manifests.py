"""What m3ic writes about what it has made: artifacts, artifacts of stages, checkpoints, and which run a folder is of."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.fuzz.kind import COUNTED, EQUAL, REFUSALS, Finding, Kind, internal, refused
from benchmarks.fuzz.mutations import changed_bytes, changed_json
from m3i_dsl.artifact.load import load
from m3i_dsl.artifact.pipeline import load_pipeline
from m3i_dsl.artifact.pointer import latest
from m3i_dsl.driver import check_file, compile_program, compile_stages, load_artifact, write_artifact, write_stages
from m3i_dsl.runtime.checkpoints.content import Content
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.run_folder import RunFolder, RunIdentity, read_identity
from m3i_dsl.source import read_file

ROOT = Path(__file__).parents[3]


class Written(ABC):
    """A folder that m3ic has written, and how it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        self.before, _ = self.read()

    @abstractmethod
    def read(self) -> tuple[Any, list[str]]:
        """Everything that is read of it, and the codes of what was said. Raises REFUSALS."""


class Artifact(Written):
    """That of a recipe."""

    def read(self) -> tuple[Any, list[str]]:
        found = load(self.folder, allow_stale=True)
        kept = (found.manifest, found.recipe, found.ir, found.graph, found.lock, found.parameters, found.plan)
        return kept, [diagnostic.code for diagnostic in found.diagnostics]


class Rebuilt(Artifact):
    """It, with the program that it stands for."""

    def read(self) -> tuple[Any, list[str]]:
        found, executable = load_artifact(self.folder, allow_stale=True)
        names = [name for name, _ in executable.module.named_parameters()]
        return (found.manifest, names), [diagnostic.code for diagnostic in found.diagnostics]


class Stages(Written):
    """That of a recipe of stages."""

    def read(self) -> tuple[Any, list[str]]:
        found = load_pipeline(self.folder)
        stages = [load(found.stage_folder(name), allow_stale=True) for name in found.manifest.names]
        return (found.manifest, [(s.manifest, s.recipe, s.ir, s.lock, s.parameters) for s in stages]), []


class Target(Written):
    """The folder of artifacts, which says which was compiled last."""

    def read(self) -> tuple[Any, list[str]]:
        return latest(self.folder), []


class Run(Written):
    """The folder of a run: what it is a run of."""

    def read(self) -> tuple[Any, list[str]]:
        return read_identity(self.folder), []


class Checkpoints(Written):
    """The checkpoints of a run: two, of which the older one is used when the newer one is damaged."""

    def read(self) -> tuple[Any, list[str]]:
        checkpoint, notices = CheckpointStore(self.folder).newest()
        assert checkpoint is not None
        places = state()
        checkpoint.read(places)
        read = {name: tensor.numpy().tobytes() for name, tensor in places.items()}
        return (checkpoint.step, checkpoint.plain(), read), [notice.code for notice in notices]


class Manifests(Kind):
    """Whatever is changed is refused, or left aside by name, or means what it meant."""

    name = "manifests"
    what = "files of artifacts, of artifacts of stages, of checkpoints and runs, m3i.lock, and `latest`"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        _compiled(folder, "mae.m3i")
        _compiled(folder, "stages.m3i")
        (folder / "runs" / "one").mkdir(parents=True)
        artifact = folder / "target" / "mae"
        identity = RunIdentity("mae", load(artifact).manifest.fingerprint, {"torch": torch.__version__})
        RunFolder.create(folder / "runs" / "one", identity, artifact).close()
        _saved(folder / "checkpoints")
        plain = Artifact(artifact)
        self.written: Mapping[str, Written] = {
            "artifact": plain,
            "stages": Stages(folder / "target" / "stages"),
            "checkpoints": Checkpoints(folder / "checkpoints"),
            "run": Run(folder / "runs" / "one"),
        }
        self.rebuilt = Rebuilt(artifact)

    def case(self, chance: random.Random) -> str:
        name = chance.choice(list(self.written))
        written = self.written[name]
        path = chance.choice([path for path in written.files if path.stat().st_size or chance.random() < 0.1])
        content = written.files[path]
        if path.suffix == ".json" and chance.random() < 0.6:
            changed: bytes | None = changed_json(chance, content.decode()).encode(errors="surrogatepass")
        elif chance.random() < 0.05:
            changed = None
        else:
            changed = changed_bytes(chance, content, list(written.files.values()))
        return self._judged(name, written, path, changed)

    def _judged(self, name: str, written: Written, path: Path, changed: bytes | None) -> str:
        content = written.files[path]
        if changed is None:
            path.unlink()
        else:
            path.write_bytes(changed)
        try:
            after, said = written.read()
        except REFUSALS as fault:
            return refused(fault)
        finally:
            path.write_bytes(content)
        internal(said)
        if after == written.before:
            return EQUAL
        if said:
            return COUNTED
        raise Finding(f"{name}: `{path.relative_to(written.folder)}` is changed, and is read as something else")


def state() -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint, of several types and forms."""
    return {
        "weights/image.weight": torch.arange(24, dtype=torch.float32).reshape(4, 6),
        "weights/image.count": torch.tensor(3),
        "weights/half": torch.ones(5, dtype=torch.bfloat16).view(torch.int16).view(torch.int16),
        "optimizer/image.weight/exp_avg": torch.zeros(4, 6),
    }


def _compiled(folder: Path, name: str) -> None:
    place = ROOT / ("examples" if name == "stages.m3i" else "recipes") / name
    checked = check_file(read_file(place))
    target = folder / "target"
    if len(checked.stages().stages) > 1:
        compiled = compile_stages(checked.stages(), place.parent, load_weights=False)
        write_stages(target / place.stem, compiled, checked, {}, target=target)
    else:
        program = compile_program(checked.required(), place.parent, load_weights=False)
        write_artifact(target / place.stem, program, checked, {}, target=target)


def _saved(folder: Path) -> None:
    with CheckpointStore(folder) as store:
        for step in (1, 2):
            store.save(step, Content(state(), {"step": step, "optimizer": {"groups": [{"lr": 0.1}]}, "metrics": 17}))
