"""Nets of other libraries by name: ``torchvision_resnet50``, ``timm_resnetv2_50``."""

from __future__ import annotations

import importlib.util
import re
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import torch
from torch import Tensor, nn

from explorer.data.downloads import missing
from explorer.errors import SpecError, WeightsError
from explorer.nets.adapters.net import AdaptedNet, adapt
from explorer.nets.weight_files import StoredTensors, stored_tensors
from explorer.nets.weights import as_own, fill, trained_on
from explorer.structure.blueprint import Blueprint
from explorer.structure.library_nets import SIDE, TORCHVISION, check_name, short_side, unknown
from explorer.structure.specs import MAX_PARAMETERS
from explorer.structure.trained_on import TrainedOn
from explorer.system.bounded import local_path

IMAGENET_CLASSES = 1000
STALL_SECONDS = 30.0  # without a byte, a download counts as failed


def load_external(
    name: str,
    *,
    weights: str | Path | None = None,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    seed: int | None = None,
    download: bool = True,
) -> AdaptedNet:
    """Another library's net, ready for the instruments, in training mode.

    Args:
        name: ``torchvision_`` or ``timm_``, and the library's own name.
        weights: None for fresh ones; ``"default"`` for the library's, trained on ImageNet and
            downloaded once; or a file of the net's own ``state_dict``, of which tensors alone are
            read.
        input_shape: (channels, height, width); None is what the library's weights were made for.
        classes: Number of answers; None is what the weights have, else ImageNet's 1000.
        seed: Decides fresh weights; None draws them from torch's global generator.
        download: Whether weights that are not on this machine may be fetched.

    Raises:
        SpecError: The name or the images are not possible.
        WeightsError: Weights that cannot be downloaded, or are not this net's.
        NotApplicableError: A net of timm's that has layers unknown to the instruments.
    """
    name, source = name.strip(), _source(name)
    stored = None
    if weights not in (None, "default"):
        file = local_path(str(weights), WeightsError)
        stored = stored_tensors(file).renamed(source.renamed)
    if weights == "default" and classes not in (None, IMAGENET_CLASSES):
        raise WeightsError(
            f"The library's weights of {name} are for ImageNet's {IMAGENET_CLASSES} classes, not "
            f"for {classes}; leave the number of classes out, or start from fresh weights."
        )
    if weights == "default" and not download and not source.is_here():
        raise missing(f"The library's weights of {name}")
    answers = classes or _answers(stored, source.classifier) or IMAGENET_CLASSES
    shape = input_shape or source.input_shape
    with torch.device("meta"):  # before any memory is taken: whether it is possible
        planned = source.build(answers, shape)
    if stored is not None:
        as_own(planned, stored)
    _refuse_vast(planned, name)
    with _seeded(seed):
        module = source.build(answers, shape)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    class_names: tuple[str, ...] | None = None
    if weights == "default":
        own = {source.renamed(key): value for key, value in source.download().items()}
        shapes = {key: tuple(value.shape) for key, value in own.items()}
        fill(module, StoredTensors(f"The library's weights of {name}", shapes, lambda: own))
        mean, std = source.mean, source.std
        class_names = source.class_names
    elif stored is not None:
        fill(module, stored)
        known = trained_on(file) or TrainedOn()
        known.check(shape[0], answers)
        if not known.mean and answers == IMAGENET_CLASSES:  # tensors and classes as ImageNet's
            known = TrainedOn(
                mean=source.mean, std=source.std, classes=known.classes or source.class_names or ()
            )
        mean, std, class_names = known.mean, known.std, known.classes or None
    return adapt(
        module,
        name=name,
        input_shape=shape,
        class_names=class_names,
        mean=mean,
        std=std,
        resize=short_side(name, None if weights is None else str(weights))
        if shape[-1] == SIDE
        else None,
    )


def external_blueprint(
    name: str, *, input_shape: tuple[int, int, int] | None = None, classes: int | None = None
) -> Blueprint:
    """The blueprint of another library's net, built without values; errors as above."""
    source = _source(name)
    shape = input_shape or source.input_shape
    with torch.device("meta"):
        module = source.build(classes or IMAGENET_CLASSES, shape)
    return adapt(module, name=name.strip(), input_shape=shape).blueprint


def _source(name: str) -> _Source:
    name = check_name(name)
    library, _, inner = name.partition("_")
    return (_torchvision if library == "torchvision" else _timm)(name, inner)


def _refuse_vast(planned: nn.Module, name: str) -> None:
    parameters = sum(value.numel() for value in planned.parameters())
    if parameters > MAX_PARAMETERS:
        raise SpecError(
            f"{name} would have {parameters:,} parameters for these classes, and nets of up to "
            f"{MAX_PARAMETERS:,} are built: take fewer classes, or a smaller net."
        )


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


# ------------------------------------------------------------------------------- libraries


@dataclass(frozen=True)
class _Source:
    """Where a net comes from.

    Attributes:
        build: (classes, shape of an image) → the library's module with fresh weights.
        download: The library's own weights.
        is_here: Whether these need no download.
        renamed: An older file's name of a tensor → today's.
        classifier: Name of the last layer's weight, whose rows are the classes.
    """

    build: Callable[[int, Shape], nn.Module]
    download: Callable[[], dict[str, Tensor]]
    is_here: Callable[[], bool]
    classifier: str
    input_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...] | None
    renamed: Callable[[str], str] = lambda name: name


def _torchvision(name: str, inner: str) -> _Source:
    from torchvision import models

    weights = models.get_model_weights(inner).DEFAULT
    preset = weights.transforms()

    def build(classes: int, shape: Shape) -> nn.Module:
        if shape[0] != 3:
            raise SpecError(
                f"{name} takes colour images, of 3 channels and not {shape[0]}: choose cifar10 or "
                "a folder of images."
            )
        sized: dict[str, int] = {}
        if inner.startswith("vit_"):
            patch = int(inner.rpartition("_")[2])
            _check_patches(name, shape, patch)
            sized["image_size"] = shape[1]
        net: nn.Module = models.get_model(inner, weights=None, num_classes=classes, **sized)
        return net

    def download() -> dict[str, Tensor]:
        with _downloading(name, weights.url), _patient():
            shown = sys.stderr.isatty()
            state = weights.get_state_dict(progress=shown, check_hash=True, weights_only=True)
        return _own_tensors(state, name)

    family = inner.rstrip("0123456789").partition("_")[0].rstrip("0123456789")
    last = _CLASSIFIERS.get(family, "fc")
    return _Source(
        build,
        download,
        lambda: (Path(torch.hub.get_dir()) / "checkpoints" / weights.url.split("/")[-1]).is_file(),
        f"{last}.weight",
        (3, preset.crop_size[0], preset.crop_size[0]),
        tuple(preset.mean),
        tuple(preset.std),
        tuple(weights.meta["categories"]),
        _todays_name,
    )


# Of torchvision's families; fc of the others.
_CLASSIFIERS = {
    "densenet": "classifier",
    "vgg": "classifier.6",
    "vit": "heads.head",
    "convnext": "classifier.2",
}
Shape = tuple[int, int, int]


def _check_patches(name: str, shape: Shape, patch: int) -> None:
    """A vision transformer cuts square images into whole patches."""
    if shape[1] != shape[2] or shape[1] % patch:
        side = patch * max(1, shape[1] // patch)
        raise SpecError(
            f"{name} takes square images of a multiple of {patch} pixels a side, not of "
            f"{shape[1]}×{shape[2]}: give an image size such as {side}."
        )


_OLD_DENSE = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$")


def _todays_name(name: str) -> str:
    """torchvision's stored DenseNets say ``norm.1`` where its modules say ``norm1``."""
    return _OLD_DENSE.sub(r"\1\2", name)


def _timm(name: str, inner: str) -> _Source:
    if importlib.util.find_spec("timm") is None:
        raise SpecError(
            f"{name} needs the package timm, which is not installed: pip install timm, or choose "
            f"torchvision_{TORCHVISION[2]}."
        )
    import timm

    modules = ("resnet", "resnetv2", "vision_transformer", "deit", "convnext")
    known = [model for module in modules for model in timm.list_models(module=module)]
    model, _, tag = inner.partition(".")
    tags = {cfg.partition(".")[2] for cfg in timm.list_pretrained(f"{model}.*")}
    if model not in known or (tag and tag not in tags):
        tagged = (f"{model}.{one}" for one in tags) if model in known else ()
        raise unknown(name, [*known, *tagged])
    config = timm.models.get_pretrained_cfg(inner)
    assert config is not None

    cuts = model in (*timm.list_models(module="vision_transformer"), *timm.list_models("deit*"))

    def build(classes: int, shape: Shape) -> nn.Module:
        sized: dict[str, Any] = {"img_size": shape[1:]} if cuts else {}
        if cuts:
            patch = re.search(r"patch(\d+)", model)
            _check_patches(name, shape, int(patch.group(1)) if patch else 1)
        net: nn.Module = timm.create_model(inner, num_classes=classes, in_chans=shape[0], **sized)
        return net

    def download() -> dict[str, Tensor]:
        with _downloading(name, f"huggingface.co/{config.hf_hub_id}"), _patient():
            net: nn.Module = timm.create_model(inner, pretrained=True)
        return net.state_dict()

    return _Source(
        build,
        download,
        lambda: _in_hub(config.hf_hub_id),
        f"{config.classifier}.weight",
        config.input_size,
        tuple(config.mean),
        tuple(config.std),
        _imagenet_names() if config.num_classes == IMAGENET_CLASSES else None,
    )


def _in_hub(repository: str | None) -> bool:
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "pytorch_model.bin")
    found = (try_to_load_from_cache(repository, name) for name in names if repository)
    return any(isinstance(file, str) for file in found)


def _imagenet_names() -> tuple[str, ...]:
    from torchvision import models

    return tuple(models.ResNet50_Weights.DEFAULT.meta["categories"])


@contextmanager
def _patient() -> Iterator[None]:
    """A network that is silent for ``STALL_SECONDS`` is an error, not a wait without end."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def _downloading(name: str, address: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each library's network, disk and hash have errors of their own
        if isinstance(error, HTTPError):
            error.close()  # it is the server's answer, too
        behind = getattr(error, "reason", None)  # of a URLError
        cause = str(behind if isinstance(behind, OSError) else error)
        reason = (cause.splitlines() or [type(error).__name__])[0].rstrip(".")
        raise WeightsError(
            f"The library's weights of {name} cannot be downloaded from {address} ({reason}): "
            "check the network, or bring the file from another machine and give its path."
        ) from None


# ----------------------------------------------------------------------------------- files


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name; see :func:`explorer.nets.weight_files.stored_tensors`."""
    return stored_tensors(path.expanduser()).read()


def _own_tensors(stored: object, file: str) -> dict[str, Tensor]:
    """What a library's own file holds, which came from its maker by its checksum."""
    if not isinstance(stored, Mapping):
        raise WeightsError(f"{file} does not hold a state_dict, tensors by name.")
    return {str(key): value for key, value in stored.items()}


def _answers(stored: StoredTensors | None, classifier: str) -> int | None:
    shape = () if stored is None else stored.shapes.get(classifier, ())
    return shape[0] if len(shape) == 2 else None
