"""A target of texts as evaluation asks for it, from the graph that the step's builder writes."""

from __future__ import annotations

import torch

from m3i_dsl.ir.build_evaluation import build_evaluation
from m3i_dsl.ir.inputs import FieldInput, ViewInput
from m3i_dsl.lower.to_fx import to_fx
from tests.numerics.recipes import batch_at, compiled, fresh


def test_images_and_texts_are_what_training_compares() -> None:
    of = compiled("clip")
    executable = fresh(of.executable)
    batch = batch_at(of.program, executable)
    trained = executable.module(**batch)["representations"]
    (path,) = build_evaluation(of.program)
    for graph, name in ((path.images, "prediction"), (path.texts, "target")):
        (input_,) = graph.inputs
        module, _ = to_fx(graph, executable.module)
        found = module(**{input_.source.name: batch[input_.source.name]})[name]
        expected = trained[f"clip.caption/{name}"]
        torch.testing.assert_close(found.detach(), expected, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(found.norm(dim=1), torch.ones(len(found), dtype=torch.float64))


def test_a_mixed_input_is_seen_whole() -> None:
    """No mask, no partner; and the modules are those of the step, so that what it trains is what is asked."""
    of = compiled("m3i_digits")
    executable = fresh(of.executable)
    (path,) = build_evaluation(of.program)
    assert [type(i.source) for i in path.images.inputs] == [ViewInput]
    assert [type(i.source) for i in path.texts.inputs] == [FieldInput]
    operations = {e.operation for graph in (path.images, path.texts) for e in graph.equations}
    assert not operations & {"blend", "partner", "gather", "rows", "invert"}
    batch = batch_at(of.program, executable)
    executable.module.eval()  # its batch norms then treat each image alone
    module, _ = to_fx(path.images, executable.module)
    name = path.images.inputs[0].source.name
    before = module(**{name: batch[name]})["prediction"]
    one = module(**{name: batch[name][:3]})["prediction"]
    torch.testing.assert_close(one, before[:3], rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        for parameter in executable.module.get_submodule("predictors").parameters():
            parameter.mul_(1.5)
    assert not torch.allclose(module(**{name: batch[name]})["prediction"], before)
