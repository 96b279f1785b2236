"""From decoded rows to the inputs of a step.

Takes: the rows of each source, with whole images or views that are cut from them. Gives: the tensors of the graph's
inputs. Guarantees: each row depends on its own sample and on (seed, epoch, sample, slot) only; the rows of a mixture
stand in the order of its pattern, and an input of a field that some sources lack has the rows of the others.

The images of a mixture may be stored in different sizes, so each source is augmented by itself. Its slots begin with
its name, for sample 5 of one source is to be drawn otherwise than sample 5 of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from m3i_dsl.data.cutting import Cut
from m3i_dsl.data.decoding import Part
from m3i_dsl.data.reading import Reading
from m3i_dsl.data.transfer import on_device
from m3i_dsl.data.views import render, steps_of, until_sized
from m3i_dsl.ir.inputs import BatchInput, BlendInput, FieldInput, GeometryInput, MaskInput, TextMaskInput, ViewInput
from m3i_dsl.modules.rows import interleaved
from m3i_dsl.semantics.program import AnyData, Data, Mixture, Program, View
from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.kinds import ViewState

Source = tuple[str, str]
"""(data, source): a source as it is read for a `data`, which is itself or a mixture."""

DecodedParts = Mapping[Source, Part]


class Assembler:
    """Makes the `inputs` of steps of `program`.

    `labels` has the place of each source's categories in a mixture's; files of tokenizers are relative to `base`.
    """

    def __init__(
        self,
        program: Program,
        inputs: Sequence[BatchInput],
        labels: Mapping[Source, Sequence[int]],
        device: torch.device,
        base: Path,
    ) -> None:
        self.program, self.inputs, self.device, self.base = program, tuple(inputs), device, base
        self._labels = {source: torch.tensor(places, device=device) for source, places in labels.items()}

    def __call__(self, parts: DecodedParts) -> dict[str, Tensor]:
        """The tensors by input name."""
        images = {
            (source, name): on_device(pixels, self.device).permute(0, 3, 1, 2).contiguous()
            for source, part in parts.items()
            for name, pixels in part.images.items()
        }
        views: dict[str, tuple[Tensor, Tensor]] = {}
        for name in viewed(self.inputs):
            views[name] = self._view(name, parts, images)
        return {i.name: self._input(i, parts, views) for i in self.inputs}

    def _view(
        self, name: str, parts: DecodedParts, images: Mapping[tuple[Source, str], Tensor]
    ) -> tuple[Tensor, Tensor]:
        view = self.program.views[name]
        shown = {
            source: self._shown(view, source, parts[source], images) for source in sources_of(view.data, view.field)
        }
        pixels, geometry = (
            self._rows(view.data, view.field, lambda source, of=of: shown[source][of]) for of in range(2)
        )
        return pixels, geometry

    def _shown(
        self, view: View, source: Source, part: Part, images: Mapping[tuple[Source, str], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """What is left to do: all, or what comes after the picture was cut."""
        steps, draws = steps_of([placed.word for placed in view.transforms]), self._draws(source, part, view.name)
        if part.cut:
            done, _ = until_sized(steps)
            return render(steps[done:], images[source, view.name], part.states[view.name], draws)
        return render(steps, images[source, view.field], ViewState.whole(part.states[view.field].sizes), draws)

    def _input(self, input_: BatchInput, parts: DecodedParts, views: Mapping[str, tuple[Tensor, Tensor]]) -> Tensor:
        match input_:
            case ViewInput(view=view):
                return views[view][0]
            case GeometryInput(view=view):
                return views[view][1]
            case MaskInput(view=name):
                view = self.program.views[name]
                return self._rows(view.data, view.field, lambda source: self._mask(input_, source, parts[source]))
            case BlendInput(view=name):
                view = self.program.views[name]
                return self._rows(view.data, view.field, lambda source: self._blend(input_, source, parts[source]))
            case TextMaskInput(data=data, field=field):
                return self._rows(
                    self._data(data), field, lambda source: self._text_mask(input_, source, parts[source])
                )
            case FieldInput(data=data, field=field):
                return self._rows(self._data(data), field, lambda source: self._values(input_, source, parts[source]))

    def _rows(self, data: AnyData, field: str, of: Callable[[Source], Tensor]) -> Tensor:
        """The rows of all sources that have a field, in the order of the batch."""
        found = [of(source) for source in sources_of(data, field)]
        if not isinstance(data, Mixture):
            return found[0]
        counts = {run.source: run.rows for run in data.pattern.runs}
        return interleaved(found, [counts[source] for _, source in sources_of(data, field)])

    def _mask(self, input_: MaskInput, source: Source, part: Part) -> Tensor:
        hidden = input_.mask.sample(self._draws(source, part, input_.slot), input_.grid, input_.stride)
        return on_device(hidden, self.device)

    def _blend(self, input_: BlendInput, source: Source, part: Part) -> Tensor:
        size = self.program.views[input_.view].size
        return on_device(input_.blend.sample(self._draws(source, part, input_.slot), size), self.device)

    def _text_mask(self, input_: TextMaskInput, source: Source, part: Part) -> Tensor:
        encoder = self.program.encoders[input_.by].text
        hideable = encoder.hideable(part.values[input_.tokens].numpy(), self.base)
        hidden = input_.mask.sample_texts(self._draws(source, part, input_.slot), hideable)
        return on_device(hidden, self.device)

    def _values(self, input_: FieldInput, source: Source, part: Part) -> Tensor:
        values, labels = on_device(part.values[input_.name], self.device), self._labels.get(source)
        if labels is None or not input_.modality.of_categories:
            return values
        return input_.modality.renumbered(values, labels)

    def _data(self, name: str) -> Data | Mixture:
        return self.program.mixtures[name] if name in self.program.mixtures else self.program.data[name]

    def _draws(self, source: Source, part: Part, slot: str) -> Draws:
        return Draws(self.program.seed, part.epoch, part.samples, slot_of(source, slot))


def viewed(inputs: Iterable[BatchInput]) -> list[str]:
    """The views that `inputs` are of, or of where they lie."""
    return list(dict.fromkeys(i.view for i in inputs if isinstance(i, ViewInput | GeometryInput)))


def slot_of(source: Source, slot: str) -> str:
    """The `slot` of a sample's draws: that of a source in a mixture is its own."""
    data, name = source
    return slot if data == name else f"{name}/{slot}"


def cuts_of(program: Program, inputs: Iterable[BatchInput], reading: Reading) -> tuple[Cut, ...]:
    """What is done to each picture of a source for each view, where pictures do not travel whole."""
    cuts: list[Cut] = []
    for view in (program.views[name] for name in viewed(inputs)):
        if view.data.name == reading.data and view.field in reading.fields:
            steps = steps_of([placed.word for placed in view.transforms])
            done, size = until_sized(steps)
            slot = slot_of((reading.data, reading.source), view.name)
            cuts.append(Cut(view.name, view.field, size, steps[:done], program.seed, slot))
    return tuple(cuts)


def sources_of(data: AnyData, field: str) -> list[Source]:
    """The sources of `data` that have a field."""
    return [(data.name, source.name) for source in data.having(field)]
