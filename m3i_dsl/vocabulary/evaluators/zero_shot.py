"""`zero_shot`: categories recognised by their names alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from m3i_dsl.vocabulary.kinds import (
    CHANCE,
    UNTRAINED,
    Baselines,
    Evaluator,
    Result,
    Splits,
    Subject,
    WordError,
)
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class ZeroShot(Evaluator):
    """Accuracy of naming the category whose prompts lie nearest to the image, without any labelled example.

    Every category name is put in place of `{}` in each prompt; the l2-normalised text embeddings of a category's
    prompts are averaged and normalised again; an image takes the category of the largest cosine with its predicted
    text embedding. Needs a target with text embeddings. Several prompts are written in one string with `|` between
    them: `"a photo of a {}. | a drawing of a {}."`. Source: CLIP (Radford et al. 2021), section 3.1.
    """

    name: ClassVar[str] = "zero_shot"
    needs: ClassVar[frozenset[str]] = frozenset({"category", "text"})
    on_all_processes: ClassVar[bool] = True

    prompts: str = argument(
        "a photo of a {}.", doc="prompts with `{}` for the category name, `|` between", origin="CLIP"
    )

    def check(self) -> None:
        self.templates()

    def templates(self) -> tuple[str, ...]:
        """The prompts one by one, each with one `{}`.

        Raises WordError at `prompts` for one without a place for the name.
        """
        templates = tuple(part.strip() for part in self.prompts.split("|"))
        for template in templates:
            if template.count("{}") != 1:
                shown = template or self.prompts
                raise WordError(
                    f"prompt `{shown}` has no single place for the category name",
                    argument="prompts",
                    help="write `{}` once where the name belongs: `a photo of a {}.`",
                )
        return templates

    def measure(self, subject: Subject, splits: Splits) -> Result:
        from m3i_dsl.evaluation.zero_shot import zero_shot

        return zero_shot(
            subject.text_path,
            splits.test,
            categories=splits.categories,
            templates=self.templates(),
            team=splits.team,
        )

    def baselines(self, others: Baselines, splits: Splits) -> Mapping[str, Result]:
        """Pixels are in no space of texts, so chance is what it stands beside."""
        from m3i_dsl.evaluation.accuracy import chance

        guessed = chance(len(splits.categories), len(splits.test.labels))
        return {UNTRAINED: self.measure(others.untrained(), splits), CHANCE: guessed}
