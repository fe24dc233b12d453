"""An instrument as a Python function, and the stub that tells type checkers of all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import cache
from inspect import Parameter
from textwrap import indent
from typing import TYPE_CHECKING, Any, Literal, cast, get_args, get_origin

from explorer.instruments import Instrument, function_aliases, instrument, instruments
from explorer.instruments.contract import OneImage, Result
from explorer.instruments.doors import trainings
from explorer.instruments.doors.calling import Work, measured
from explorer.instruments.doors.words import words
from explorer.structure.specs import SEED

if TYPE_CHECKING:
    from explorer.data.dataset import Dataset

_SUBJECT: dict[str, tuple[tuple[str, str, Any], ...]] = {
    "net": (("net", "AnyNet", Parameter.empty), ("data", "Data", "digits")),
    "weights": (("net", "AnyNet", Parameter.empty),),
    "image": (
        ("net", "AnyNet", Parameter.empty),
        ("data", "Data", "digits"),
        ("image", "Image", 0),
    ),
    "data": (("data", "Data", "digits"),),
    "training": (("training", "str | Path", Parameter.empty), ("lane", "int", 1)),
    "none": (),
}
_WORDS = {
    "net": "The net; it is measured on its own device, and stays as it is. A name or a spec is "
    "that net, trained where weights of it come with the program, else fresh.",
    "data": 'A data set by name (``"digits"``), a folder, a spec, or a loaded one.',
    "image": "A test image by its index, a picture file, or uint8 (C, H, W).",
    "training": "The folder of `skipscope train --out`, with what was recorded.",
    "lane": "Which of its nets, from 1.",
    "deleted": "Units to leave out, by name or index.",
    "name": "What the result calls the net; None takes its token.",
    "known": "What an earlier call gave of the same, complete or not: it is gone on from.",
    "on_progress": "Told partial results, and the share of the whole that is done, in [0, 1].",
}


@cache
def function(name: str) -> Callable[..., Result]:
    """The function of an instrument's name, or of an earlier one."""
    one = instrument(name)
    signature = inspect.Signature(list(_parameters(one)), return_annotation=one.result)

    def ask(*args: Any, **kwargs: Any) -> Result:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{one.name}() {error}") from None
        bound.apply_defaults()
        return _call(one, dict(bound.arguments))

    ask.__name__ = ask.__qualname__ = one.name
    ask.__module__ = "explorer"
    ask.__doc__ = _doc(one)
    ask.__signature__ = signature  # type: ignore[attr-defined]
    return ask


def stub() -> str:
    """The text of ``functions.pyi``: every function with its types and its documentation."""
    body, imports = [], {"explorer.nets": {"Net"}}
    for one in instruments().values():
        imports.setdefault(one.result.__module__, set()).add(one.result.__name__)
        lines = [_stub_parameter(p, imports) for p in _parameters(one)]
        keyword = next((i for i, p in enumerate(_parameters(one)) if p.kind == p.KEYWORD_ONLY), 0)
        lines.insert(keyword, "*,")
        signature = "\n".join(f"    {line}" for line in lines)
        body.append(
            f"def {one.name}(\n{signature}\n) -> {one.result.__name__}:\n"
            f'    """{indent(_doc(one), "    ").strip()}\n    """\n'
        )
    earlier = [f"{old} = {new}" for old, new in sorted(function_aliases().items())]
    head = [
        '"""Made by ``python -m explorer.instruments.doors.python``; a test compares."""',
        "",
        "from collections.abc import Callable",
        "from pathlib import Path",
        "from typing import Literal",
        "",
        "from torch import Tensor",
        "",
        "from explorer.data.dataset import Dataset",
        *(
            f"from {module} import {', '.join(sorted(of))}"
            for module, of in sorted(imports.items())
        ),
        "from explorer.structure.specs import DataSpec, NetSpec",
        "",
        "AnyNet = Net | NetSpec | str",
        "Data = str | Path | DataSpec | Dataset",
        "Image = int | str | Path | Tensor",
        "",
    ]
    return "\n".join([*head, *body, *earlier, ""])


def _call(one: Instrument, given: dict[str, Any]) -> Result:
    from explorer.api import load_data
    from explorer.measuring.match import matched

    data = load_data(_sized(given)) if "data" in given else None
    net = _net(given["net"], data) if "net" in given else None
    if data is not None and net is not None:
        net, data = matched(net, data)
    tell = given.get("on_progress")
    work = Work(
        given.get("name"),
        None if tell is None else lambda part, share, _: tell(part, share),
        known=given.get("known"),
    )
    image = OneImage(given["image"], tuple(given.get("deleted", ()))) if "image" in given else None
    training = None
    if "training" in given:
        training = trainings.one_of(trainings.of_folder(str(given["training"])), given["lane"])
    return measured(one, one.asked(given), work, net=net, data=data, image=image, training=training)


def _sized(given: dict[str, Any]) -> Any:
    """The data; images of a folder's path as large as those of a net that is given."""
    from explorer.api import data_spec
    from explorer.data.dataset import Dataset
    from explorer.nets import Net
    from explorer.structure.library_nets import ExternalSpec, images_of
    from explorer.structure.specs import sized_for

    net, data = given.get("net"), given["data"]
    if isinstance(data, Dataset) or not isinstance(net, Net):
        return data
    if isinstance(net.spec, ExternalSpec):
        return images_of(net.spec, data_spec(data))
    return sized_for(net.spec, data_spec(data))


def _net(given: Any, data: Dataset | None) -> Any:
    """The net itself, or that of a name or a spec, fresh ones made for the data."""
    from explorer.errors import SpecError
    from explorer.nets import create_net
    from explorer.nets.weights import load_pretrained
    from explorer.structure.named_nets import Ours, Shipped, named
    from explorer.structure.specs import NetBase, NetSpec, fit

    if not isinstance(given, (str, NetBase)):
        return given
    if isinstance(given, str):
        found = named(given)
        if isinstance(found, Shipped):
            return load_pretrained(found.token)
        if not isinstance(found, Ours) or found.weights is not None:
            raise SpecError(
                f"{given[:60]!r} is not built by its words alone: give the net itself, as "
                "explorer.load_weights or explorer.load_external makes it."
            )
        given = found.spec
    spec = cast(NetSpec, given)
    if data is not None:
        spec = fit(spec, data.info.input_shape, len(data.info.classes))
    return create_net(spec, seed=SEED)


def _parameters(one: Instrument) -> Iterable[Parameter]:
    subject = one.ask.subject
    for name, annotation, default in _SUBJECT[subject]:
        yield Parameter(
            name, Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation
        )
    for option in one.ask.options():
        if option.at("python"):
            yield Parameter(
                option.name,
                Parameter.KEYWORD_ONLY,
                default=option.default,
                annotation=option.type,
            )
    more: list[tuple[str, str, Any]] = []
    if subject == "image" and one.ask.deletes:
        more.append(("deleted", "tuple[str | int, ...]", ()))
    if one.ask.keeps:
        more.append(("known", f"{one.result.__name__} | None", None))
    if subject in ("net", "weights", "image"):
        more.append(("name", "str | None", None))
    if subject not in ("weights", "training"):
        told = f"Callable[[{one.result.__name__}, float], None] | None"
        more.append(("on_progress", told, None))
    for name, annotation, default in more:
        yield Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _doc(one: Instrument) -> str:
    about = inspect.cleandoc(one.ask.__doc__ or "")
    options = {option.name: option for option in one.ask.options()}
    lines = []
    for parameter in _parameters(one):
        option = options.get(parameter.name)
        lines.append(
            f"    {parameter.name}: {_WORDS[parameter.name] if option is None else words(option)}"
        )
    return "\n".join(
        [about, "", "Args:", *lines, "", "Raises:", "    SkipscopeError: One sentence."]
    )


def _stub_parameter(parameter: Parameter, imports: dict[str, set[str]]) -> str:
    default = "" if parameter.default is Parameter.empty else f" = {parameter.default!r}"
    return f"{parameter.name}: {_written(parameter.annotation, imports)}{default},"


def _written(annotation: Any, imports: dict[str, set[str]]) -> str:
    """An annotation as source."""
    if isinstance(annotation, str):
        return annotation
    if annotation is type(None):
        return "None"
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, inner))}]"
    if origin is tuple:
        parts = ("..." if part is Ellipsis else _written(part, imports) for part in inner)
        return f"tuple[{', '.join(parts)}]"
    if inner:  # a union
        return " | ".join(_written(part, imports) for part in inner)
    return str(annotation.__name__)


if __name__ == "__main__":
    from pathlib import Path

    from explorer.system.files import write_text

    write_text(Path(__file__).parents[1] / "functions.pyi", stub())
