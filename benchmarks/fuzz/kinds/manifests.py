"""What m3ic writes about what it has made: artifacts, those of stages, checkpoints, and which run a folder is of."""

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
from m3i_dsl.driver import check_file, compile_program, compile_stages, write_artifact, write_stages
from m3i_dsl.runtime.checkpoints.content import Content
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.run_folder import RunFolder, RunIdentity, read_identity
from m3i_dsl.source import SourceFile

RECIPE = """\
m3i 1
recipe one

data digits = embedded("digits")
view view1 of digits.image = crop(16px)
encoder image = timm("vit_tiny_patch16_224", image: 16px, patch: 8px, width: 24, depth: 1, heads: 3)
{stages}
"""

TRAINING = """\
objective pixels {
  input     masked view1 by random(50%)
  represent dense feature of image
  target pixels {
    data           view1
    representation dense pixels
    predictor      decoder(layers: 1, heads: 3, width: 24)
    regularization none
    distribution   gaussian(tokens: hidden)
  }
}

train {
  batch     8
  epochs    1
  optimizer adamw(lr: 1e-3)
}
"""


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


class Stages(Written):
    """That of a recipe of stages."""

    def read(self) -> tuple[Any, list[str]]:
        found = load_pipeline(self.folder)
        stages = [load(found.stage_folder(name), allow_stale=True) for name in found.manifest.names]
        return (found.manifest, [(s.manifest, s.recipe, s.ir, s.lock, s.parameters) for s in stages]), []


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
    what = "files of artifacts, of artifacts of stages, of checkpoints and runs, and m3i.lock"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        _compiled(folder, "one", RECIPE.format(stages=TRAINING))
        _compiled(folder, "stages", RECIPE.format(stages="".join(f"stage {s} {{\n{TRAINING}}}\n" for s in "ab")))
        (folder / "runs" / "one").mkdir(parents=True)
        artifact = folder / "target" / "one"
        identity = RunIdentity("one", load(artifact).manifest.fingerprint, {"torch": torch.__version__})
        RunFolder.create(folder / "runs" / "one", identity, artifact).close()
        _saved(folder / "checkpoints")
        self.written: Mapping[str, Written] = {
            "artifact": Artifact(artifact),
            "stages": Stages(folder / "target" / "stages"),
            "checkpoints": Checkpoints(folder / "checkpoints"),
            "run": Run(folder / "runs" / "one"),
        }

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


def _compiled(folder: Path, name: str, text: str) -> None:
    checked = check_file(SourceFile(str(folder / f"{name}.m3i"), text))
    target = folder / "target"
    if len(checked.stages().stages) > 1:
        stages = compile_stages(checked.stages(), folder)
        write_stages(target / name, stages, checked, {}, target=target)
    else:
        write_artifact(target / name, compile_program(checked.required(), folder), checked, {}, target=target)


def _saved(folder: Path) -> None:
    with CheckpointStore(folder) as store:
        for step in (1, 2):
            store.save(step, Content(state(), {"step": step, "optimizer": {"groups": [{"lr": 0.1}]}, "metrics": 17}))
