"""Names of the causes and panels, the same in the figure, the sentences and the terminal."""

from __future__ import annotations

from explorer.instruments.vanishing.result import Cause, VanishingCauses

# Powers of ten beyond which a curve leaves the figure, so that the others can be told apart.
FLOOR, CEILING = -12, 8


def cause_words(causes: VanishingCauses) -> dict[Cause, str]:
    """Each curve's name: what the first one has, and what the others have in its place."""
    usual = "ReLU + He's rule" + (" + circular padding" if causes.layers == "conv" else "")
    words: dict[Cause, str] = {
        "none": usual,
        "sigmoid": "sigmoid",
        "tanh": "tanh",
        "scale": f"weights × {causes.gain:g}",
        "zeros": "zero padding",
    }
    return {cause: words[cause] for cause in causes.causes}


def panel_words(shortcuts: bool, batch_norm: bool) -> str:
    ends = [
        f"{'' if on else 'no '}{what}"
        for on, what in zip((shortcuts, batch_norm), ("shortcuts", "batch norm"), strict=True)
    ]
    text = ", ".join(ends)
    return text[0].upper() + text[1:]
