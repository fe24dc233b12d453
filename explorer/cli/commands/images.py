"""Commands that look through nets at one image, at the features they reuse, at the loss around."""

from __future__ import annotations

from explorer.cli.commands import options, values
from explorer.cli.commands.options import Command
from explorer.cli.outputs import add_outputs


def attribute(command: Command) -> None:
    attribute = command(
        "attribute",
        "explorer.cli.attribution:run_attribute",
        "show which pixels, or which units, carried a decision",
        "What is explained is the logit f of one class. saliency: |∂f/∂x|. integrated_gradients:\n"
        "adds up to f(x) − f(x′), x′ an image of no evidence. grad_cam: weighted maps of a unit.\n"
        "occlusion: what f loses under a window. conductance: what flows through each unit; in a\n"
        "plain net all of it goes through every one.",
        """\
  skipscope attribute digits_plain_56 digits_resnet_v2_56 --image 3
  skipscope attribute digits_resnet_v2_56 --image my_five.png --method occlusion
  skipscope attribute digits_resnet_v2_56 --image 3 --method grad_cam --unit stages.1.units.2
  skipscope attribute digits_resnet_v2_56 --method conductance --delete stages.0.units.4
  skipscope attribute digits_plain_56 --image 7 --class true --html seven.html""",
    )
    options.nets_and_image(attribute)
    attribute.add_argument(
        "--method",
        type=values.one_of(
            "saliency", "integrated_gradients", "grad_cam", "occlusion", "conductance"
        ),
        default="integrated_gradients",
        help="saliency, integrated_gradients (default), grad_cam, occlusion or conductance",
    )
    attribute.add_argument(
        "--unit",
        action="append",
        metavar="UNIT",
        help="of grad_cam: at whose output (default: the last); repeat for each net",
    )
    attribute.add_argument(
        "--class",
        default="predicted",
        metavar="CLASS",
        help="a class by name or number, predicted (default) or true",
    )
    attribute.add_argument(
        "--baseline",
        type=values.one_of("black", "white", "mean"),
        default="black",
        help="the image without evidence: black (default), white or mean",
    )
    attribute.add_argument(
        "--steps", type=values.whole, help="of the integrals (default: doubled until they add up)"
    )
    attribute.add_argument(
        "--window", type=values.whole, metavar="PIXELS", help="of occlusion: its side"
    )
    add_outputs(attribute)


def activations(command: Command) -> None:
    activations = command(
        "activations",
        "explorer.cli.activations:run_activations",
        "show the maps of units for one image",
        "The strongest maps of each stage's last unit, or of units of your choice: their output,\n"
        "or what their own layers add (branch) to what passes them by (shortcut).",
        """\
  skipscope activations digits_resnet_v2_56 --image 3 --html maps.html
  skipscope activations digits_plain_56 digits_resnet_v2_56 --unit stages.1.units.4
  skipscope activations digits_densenet_40_k12 --part branch --channels first --k 12
  skipscope activations digits_resnet_v2_56 --delete stages.0.units.1 --csv""",
    )
    options.nets_and_image(activations)
    activations.add_argument(
        "--unit",
        action="append",
        metavar="UNITS",
        help="units, separated by commas (default: the last of each stage); repeat for each net",
    )
    activations.add_argument(
        "--part",
        type=values.one_of("output", "branch", "shortcut"),
        default="output",
        help="output (default), branch or shortcut",
    )
    activations.add_argument(
        "--channels",
        type=values.one_of("strongest", "first"),
        default="strongest",
        help="strongest: of the greatest mean magnitude (default), or first",
    )
    activations.add_argument(
        "--k", type=values.whole, default=16, help="how many channels of a unit (default 16)"
    )
    add_outputs(activations)


def endpoints(command: Command) -> None:
    endpoints = command(
        "endpoints",
        "explorer.cli.endpoints:run_endpoints",
        "name every place in a net, and tell or write what comes out there",
        "Units, stages, convolutions and fully connected layers inside them, logits and\n"
        "predictions. A net that is a program has that program's names, too. Without --n and\n"
        "--out: names and shapes, counted without building the net.",
        """\
  skipscope endpoints imagenet_resnet_v2_50
  skipscope endpoints digits_resnet_v2_56 --n 64
  skipscope endpoints reference_residual_25 --data cifar10 --n 32 --json
  skipscope endpoints digits_plain_56 --n 100 --out values.safetensors
  skipscope endpoints small_resnet_v1 --n 8 --out values.npz --names program""",
    )
    options.net(endpoints)
    options.data(endpoints, "its test images (default: what the net was trained on, else digits)")
    options.weights(endpoints)
    options.seed(endpoints, "of the fresh weights where there are no trained ones")
    options.device(endpoints)
    endpoints.add_argument(
        "--n", type=values.whole, help="test images, class-balanced (default with --out: 8)"
    )
    endpoints.add_argument(
        "--statistics",
        type=values.one_of("running", "batch"),
        default="running",
        help="what batch norms use: their running statistics (default) or this batch's",
    )
    endpoints.add_argument(
        "--out", type=values.path, metavar="FILE", help="write them: .safetensors or .npz"
    )
    endpoints.add_argument(
        "--names",
        type=values.one_of("own", "program", "both"),
        default="own",
        help="of --out: the net's own names (default), its program's, or both",
    )
    options.json(endpoints)


def reuse_and_surface(command: Command) -> None:
    reuse = command(
        "reuse",
        "explorer.cli.reuse:run_reuse",
        "show how strongly the layers of a dense net use each earlier one",
        "Mean absolute weight from every source of a block (its input, then its layers) to every\n"
        "layer that sees it, the transition or classifier last (Huang et al. 2016, Fig 5).\n"
        "Read from the weights alone: no images are needed.",
        """\
  skipscope reuse digits_densenet_40_k12
  skipscope reuse densenet_40_k12 digits_densenet_40_k12 --html reuse.html
  skipscope reuse digits_densenet_40_k12 --scaled --absolute
  skipscope reuse torchvision_densenet121 --weights default --png densenet121.png""",
    )
    options.nets(reuse, "shape the net for this data (no images are loaded)")
    reuse.add_argument(
        "--scaled",
        action="store_true",
        help="count each weight times the scale of the batch norm before it",
    )
    reuse.add_argument(
        "--absolute", action="store_true", help="mean |w| itself, not each layer's share"
    )
    surface = command(
        "surface",
        "explorer.cli.surface:run_surface",
        "measure the loss around the weights",
        "Loss at θ + α·δ + β·η: δ and η are random, filter by filter as long as the weights θ\n"
        "(Li et al. 2018). Biases and batch norms stay. Points come from coarse to fine; --keep\n"
        "writes them down, and the same command goes on from there, also at a finer resolution.",
        """\
  skipscope surface digits_plain_56 digits_resnet_v2_56 --resolution 17 --html loss.html
  skipscope surface digits_resnet_v2_56 --keep surface.json       stop it, and call it again
  skipscope surface digits_plain_56 digits_resnet_v2_56 --line
  skipscope surface digits_resnet_v2_56 --norm batch --view surface --html batch.html""",
    )
    options.nets(surface, "measure on this (default: what it was trained on, else digits)")
    surface.add_argument(
        "--resolution",
        type=values.whole,
        default=51,
        metavar="N",
        help="points a side (default 51)",
    )
    surface.add_argument(
        "--span", type=values.number, default=1.0, help="from −SPAN to SPAN (default 1)"
    )
    surface.add_argument("--line", action="store_true", help="along the first direction alone")
    surface.add_argument(
        "--n", type=values.whole, default=256, help="training images (default 256)"
    )
    surface.add_argument(
        "--direction", type=values.seed_value, default=0, help="seed of the directions (default 0)"
    )
    surface.add_argument(
        "--norm",
        type=values.one_of("running", "batch"),
        default="running",
        help="what batch norm takes: running statistics (default; of an untrained net those of "
        "these images at θ), or the batch's, point by point",
    )
    surface.add_argument(
        "--view",
        type=values.one_of("contour", "surface", "line"),
        help="of --html and --png: contour (default), surface or line",
    )
    surface.add_argument(
        "--cap", type=values.number, default=10.0, help="losses above this look alike (default 10)"
    )
    surface.add_argument(
        "--keep", type=values.path, metavar="FILE", help="write points there, or go on"
    )
    add_outputs(reuse)
    add_outputs(surface)
