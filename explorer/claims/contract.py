"""What a claim is: a sentence that people read, where it is from, and what bears it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from explorer.structure.names import PAPERS

HERE = "measured here"
# Where a sentence may be from; a source begins with one of these.
SOURCES: dict[str, str] = {
    **{str(paper): title for paper, title in PAPERS.items()},
    "Veit16": "Residual Networks Behave Like Ensembles of Relatively Shallow Networks "
    "(arXiv 1605.06431)",
    "Balduzzi17": "The Shattered Gradients Problem (arXiv 1702.08591)",
    "Li18": "Visualizing the Loss Landscape of Neural Nets (arXiv 1712.09913)",
    "Greff17": "Highway and Residual Networks Learn Unrolled Iterative Estimation "
    "(arXiv 1612.07771)",
    "Jastrzebski18": "Residual Connections Encourage Iterative Inference (arXiv 1710.04773)",
    "Yang19": "A Mean Field Theory of Batch Normalization (arXiv 1902.08129)",
    "Dhamdhere18": "How Important Is a Neuron? (arXiv 1805.12233)",
    "Sundararajan17": "Axiomatic Attribution for Deep Networks (arXiv 1703.01365)",
    "Selvaraju17": "Grad-CAM (arXiv 1610.02391)",
    "Simonyan13": "Deep Inside Convolutional Networks (arXiv 1312.6034)",
    "Zeiler13": "Visualizing and Understanding Convolutional Networks (arXiv 1311.2901)",
    "counted": "follows from the structure, or from arithmetic",
    HERE: "by this program, under the conditions of the row",
}


@dataclass(frozen=True)
class Claim:
    """One sentence about a paper, or about what one sees, and what bears it.

    Attributes:
        key: Topic and two or three words, such as ``"lesions.residual"``.
        says: The sentence, word for word as people read it.
        source: A key of ``SOURCES`` and where in it, such as ``"He15 Fig 7"``; or ``HERE``.
        bears: ``"module:function"`` of :mod:`explorer.claims.measures`: gives a number, or one
            for each seed or net. None of a sentence that says only what a paper says.
        given: The function's arguments.
        holds: Least and greatest of each of these numbers with which the sentence is true.
        unit: Of these numbers.
        conditions: Nets, images and their number, seeds; also of a paper's numbers.
    """

    key: str
    says: str
    source: str
    bears: str | None = None
    given: Mapping[str, object] = field(default_factory=dict)
    holds: tuple[float, float] | None = None
    unit: str = ""
    conditions: str = ""

    def __post_init__(self) -> None:
        if not self.source.startswith(tuple(SOURCES)):
            raise ValueError(f"{self.key}: {self.source!r} begins with none of SOURCES")
        if (self.bears is None) != (self.holds is None):
            raise ValueError(f"{self.key}: bears and holds go together")
        if self.bears is None and self.source.startswith(HERE):
            raise ValueError(f"{self.key}: what was measured here says by which measure")

    @property
    def quotes(self) -> bool:
        """Whether it says only what a paper says, which nothing here can measure."""
        return self.bears is None
