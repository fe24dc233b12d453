"""Commands that look through nets at one image."""

from __future__ import annotations

from explorer.cli.commands import options, values
from explorer.cli.commands.options import Command


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
        "--n",
        type=values.whole,
        help="test images, each class in its share (default with --out: 8)",
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
