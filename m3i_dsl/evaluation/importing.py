"""A published checkpoint of a model that timm has, as a safetensors file with timm's names.

Takes: a file of `torch.save` (or safetensors), the timm model that it is of. Gives: the file that the argument
`weights` of `timm` names, and the names that were left out. Guarantees: nothing is unpickled but tensors and plain
containers; names are changed by timm's own filter of that model and in no other way; what the model has and the file
lacks, or has in another shape, or as anything but finite real numbers, is refused; the file is there as a whole or not
at all.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from m3i_dsl.evaluation import errors
from m3i_dsl.modules.encoders.timm import HEADS, usable
from m3i_dsl.source.regular import NotRegular, open_regular
from m3i_dsl.vocabulary.encoders.catalogue import timm_model, timm_weights
from m3i_dsl.vocabulary.kinds import WordError

WRAPPERS = ("module.", "_orig_mod.")
"""What training code puts before every name."""

State = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Imported:
    """What was written: `parameters` numbers, and the names in the checkpoint that the model has no place for."""

    file: Path
    parameters: int
    left_out: tuple[str, ...]


def import_checkpoint(
    path: Path, model: str, output: Path, *, key: str | None = None, prefix: str = "", force: bool = False
) -> Imported:
    """Writes the weights in `path`, of timm's `model`, to `output`.

    Of several state dicts in the file `key` names one (`teacher`, `state_dict`); `prefix` is what stands before the
    names of the model in it (`backbone.`), and names without it are left out. Raises EvaluationError: M3I0762 `output`
    exists and `force` was not given, M3I0764 the file is no such checkpoint, M3I0765 it is not of this model. Raises
    OSError.
    """
    if output.exists() and not force:
        raise errors.EvaluationError(
            errors.EXPORT_EXISTS, f"`{output}` exists", help="overwrite it with `--force`, or choose another with `-o`"
        )
    expected = _empty(model)
    chosen = _chosen(_read(path), path, key)
    named = {
        _bare(name).removeprefix(prefix): value for name, value in chosen.items() if _bare(name).startswith(prefix)
    }
    if not named:
        raise _other(f"no name in `{path.name}` begins with `{prefix}`", "leave `--prefix` out, or look at its names")
    state, left_out = _fitting(_renamed(named, expected, model, path), expected, model, path)
    _write(output, save({name: value.contiguous().clone() for name, value in state.items()}, {"format": "pt"}))
    outside = (name for name in chosen if not _bare(name).startswith(prefix))
    return Imported(output, sum(value.numel() for value in state.values()), (*left_out, *outside))


def _empty(model: str) -> nn.Module:
    """The model without weights, with the head that timm's weights of it have."""
    try:
        timm_model(model)
    except WordError as fault:
        raise _other(fault.message, fault.help or "see `timm.list_models()`") from fault
    known = timm_weights(model)
    with torch.device("meta"):
        return timm.create_model(model, num_classes=0 if known is None else known.classes)


def _read(path: Path) -> object:
    try:
        with open_regular(path) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch's, of pickles and sparse tensors, which are refused
            if path.suffix == ".safetensors":
                return load_file(path)
            return torch.load(stream, map_location="cpu", weights_only=True)  # noqa: TID251  # tensors and containers only
    except NotRegular as problem:
        raise _no_checkpoint(f"`{path}` {problem.reason}", "name a file of `torch.save`") from problem
    except OSError as problem:
        raise _no_checkpoint(f"`{path}` cannot be read: {problem.strerror}", "name a file of `torch.save`") from problem
    except Exception as problem:  # of the archive, of its pickle and of what stands in it
        if type(problem).__name__ == "UnpicklingError" and "Weights only load failed" in str(problem):
            raise _no_checkpoint(
                f"`{path.name}` holds more than tensors and plain containers, and to read it would run code from it",
                "let its authors' tools write the state dict alone, with `torch.save(model.state_dict(), FILE)`",
            ) from problem
        reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise _no_checkpoint(f"`{path.name}` is not a checkpoint: {reason}", "name a file of `torch.save`") from problem


def _chosen(content: object, path: Path, key: str | None) -> State:
    """The state dict `key`, or the only one of the file."""
    found = dict(_state_dicts(content, ""))
    if key is not None:
        if key not in found:
            raise _no_checkpoint(f"`{path.name}` has no state dict `{key}`", _keys(found))
        return found[key]
    if len(found) != 1:
        what = "several state dicts" if found else "no tensors"
        raise _no_checkpoint(f"`{path.name}` holds {what}", _keys(found))
    return next(iter(found.values()))


def _state_dicts(content: object, key: str) -> list[tuple[str, State]]:
    """The mappings that hold tensors by name, with the keys that lead to them: `teacher`, `a.b`."""
    if not isinstance(content, Mapping):
        return []
    items = cast(Mapping[object, object], content)
    tensors = {name: value for name, value in items.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if tensors and any("." in name for name in tensors):
        return [(key, tensors)]
    inner = ((f"{key}.{name}" if key else name, value) for name, value in items.items() if isinstance(name, str))
    return [found for name, value in inner for found in _state_dicts(value, name)]


def _keys(found: Mapping[str, State]) -> str:
    named = ", ".join(f"`--key {name}`" for name in found)
    return f"choose one: {named}" if named else "name a file of `torch.save(model.state_dict(), FILE)`"


def _bare(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _renamed(state: State, model: nn.Module, name: str, path: Path) -> State:
    """By the filter that timm keeps beside the model's class, where it has one."""
    module = sys.modules[timm.models.model_entrypoint(name.partition(".")[0]).__module__]
    rename: Callable[[State, nn.Module], Any] | None = getattr(module, "checkpoint_filter_fn", None)
    if rename is None:
        return state
    try:
        return dict(rename(state, model))
    except Exception as problem:  # of names and shapes that timm's filter does not expect
        reason = f"{type(problem).__name__}: {problem}".splitlines()[0]
        raise _other(
            f"timm's filter of `{name}` cannot read `{path.name}`: {reason}", "is it a checkpoint of this model?"
        ) from problem


def _fitting(state: State, model: nn.Module, name: str, path: Path) -> tuple[State, tuple[str, ...]]:
    """The tensors that the model has a place for, and the names of the others. Raises EvaluationError (M3I0765)."""
    own = model.state_dict()
    kept = {key: value for key, value in state.items() if key in own}
    kept = {key: value for key, value in kept.items() if not (key.startswith(HEADS) and value.shape != own[key].shape)}
    missing = sorted(key for key in own if key not in kept and not key.startswith(HEADS))
    differing = sorted(key for key, value in kept.items() if value.shape != own[key].shape)
    for names, what in ((missing, "lacks"), (differing, "has another shape of")):
        if names:
            raise _other(
                f"`{path.name}` {what} `{names[0]}`{_more(names)} of timm's `{name}`",
                "name the model that it is of with `--as`, and what stands before its names with `--prefix`",
            )
    unusable = sorted(key for key, value in kept.items() if not usable(value, own[key]))
    if unusable:
        raise _no_checkpoint(
            f"`{path.name}` holds other than finite real numbers in `{unusable[0]}`{_more(unusable)}",
            "take a checkpoint from before training diverged, or the weights as floats, neither quantized nor sparse",
        )
    return kept, tuple(sorted(state.keys() - kept.keys()))


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _write(output: Path, content: bytes) -> None:
    temporary = output.with_name(f"{output.name}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, output)


def _no_checkpoint(message: str, help_: str) -> errors.EvaluationError:
    return errors.EvaluationError(errors.NO_CHECKPOINT_FILE, message, help=help_)


def _other(message: str, help_: str) -> errors.EvaluationError:
    return errors.EvaluationError(errors.OTHER_MODEL, message, help=help_)
