"""The gradient's two terms: by the shortcuts alone, and by the branches (He16 Eq 5)."""

from __future__ import annotations

from explorer.data.dataset import Dataset
from explorer.instruments.contract import Job
from explorer.instruments.gradient_terms.ask import Ask
from explorer.instruments.gradient_terms.result import GradientTerms
from explorer.measuring.gradient_terms import gradient_terms
from explorer.nets import Net


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> GradientTerms:
    """The direct and the residual term of ∂E/∂x_l at every unit, on one batch of training images.

    Cost: about two forward and two backward passes on one batch.
    """
    return gradient_terms(net, data, n_images=ask.n_images, name=job.name, cancelled=job.cancelled)
