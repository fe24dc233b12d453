"""Commands that ask what can be known before training."""

from __future__ import annotations

from explorer.claims import says
from explorer.cli.commands import options, values
from explorer.cli.commands.options import Command
from explorer.cli.outputs import add_outputs


def before_training(command: Command) -> None:
    propagation = command(
        "propagation",
        "explorer.cli.propagation:run_propagation",
        "measure signal and gradient from the image to the last unit, at initialisation",
        "Variance of every unit's output, and the loss gradient there, over some fresh nets.\n"
        + options.told("propagation.doubles", "propagation.zeros", "vanishing.factor"),
        """\
  skipscope propagation plain_56 resnet_v2_56 --data digits
  skipscope propagation resnet_v2_56 'resnet_v2_56;batch_norm=false' --html variance.html
  skipscope propagation plain_56 resnet_v2_56 --of gradient --png gradient.png
  skipscope propagation digits_resnet_v2_56 --own-weights""",
    )
    options.nets(propagation, "measure on this (default: what it was trained on, else digits)")
    propagation.add_argument(
        "--n", type=values.whole, default=64, help="training images (default 64)"
    )
    propagation.add_argument("--seeds", type=values.whole, default=5, help="fresh nets (default 5)")
    propagation.add_argument(
        "--own-weights", action="store_true", help="measure the net as it is, not fresh ones"
    )
    propagation.add_argument(
        "--of",
        type=values.one_of("variance", "gradient"),
        default="variance",
        help="what --html and --png draw: variance (default) or gradient",
    )
    sensitivity = command(
        "sensitivity",
        "explorer.cli.sensitivity:run_sensitivity",
        "show how much louder a change is for a residual branch than for a plain map",
        says("amplifier.example")
        + " In a net: ‖output‖ / ‖F‖, unit by unit. "
        + says("amplifier.same_gradient"),
        """\
  skipscope sensitivity                               the worked example
  skipscope sensitivity --example 10 10.5 11          with other numbers
  skipscope sensitivity digits_resnet_v2_56
  skipscope sensitivity resnet_v2_56 digits_resnet_v2_56 --html amplifier.html""",
    )
    sensitivity.add_argument("nets", nargs="*", metavar="NAME", help=options.NAME)
    sensitivity.add_argument(
        "--example",
        nargs=3,
        type=values.any_number,
        default=[5.0, 5.1, 5.2],
        metavar=("X", "BEFORE", "AFTER"),
        help="input, output, and the output that is wanted instead (default 5 5.1 5.2)",
    )
    sensitivity.add_argument(
        "--n", type=values.whole, default=200, help="test images (default 200)"
    )
    sensitivity.add_argument(
        "--nudge",
        type=values.number,
        default=0.02,
        help="share by which inputs move (default 0.02)",
    )
    sensitivity.add_argument(
        "--of",
        type=values.one_of("target", "input"),
        default="target",
        help="what --html and --png draw: target (‖output‖ / ‖F‖, default) or input (moved by a "
        "nudge)",
    )
    options.data(sensitivity, "measure on this (default: what it was trained on, else digits)")
    options.weights(sensitivity)
    options.seed(sensitivity, "of the fresh weights where there are no trained ones")
    options.device(sensitivity)
    add_outputs(propagation)
    add_outputs(sensitivity)
    vanishing = command(
        "vanishing",
        "explorer.cli.vanishing:run_vanishing",
        "separate the causes of vanishing gradients: activation, weight scale, padding",
        "The first layer's gradient of fresh nets against depth. All start from ReLUs, He's rule\n"
        "and circular padding, which lose nothing; each other curve has one thing changed: tanh,\n"
        "sigmoid, smaller weights, zeros at the edges. With and without shortcuts and batch norm,\n"
        "several seeds, beside what is derived for infinitely wide nets. 240 nets: about 20 s on\n"
        "one core; fully connected ones 8.",
        """\
  skipscope vanishing
  skipscope vanishing --layers fc
  skipscope vanishing --depths 8,20,56,110 --seeds 5 --csv
  skipscope vanishing --gain 0.9 --of outputs --html vanishing.html
  skipscope vanishing --data cifar10 --order original --json""",
    )
    options.data(vanishing, "the images (default digits)")
    vanishing.add_argument(
        "--layers",
        type=values.one_of("conv", "fc"),
        default="conv",
        help="conv: convolutions (default); fc: fully connected, which have no padding",
    )
    vanishing.add_argument(
        "--depths", type=values.wholes, default=(8, 20, 32, 56), help="default 8,20,32,56"
    )
    vanishing.add_argument("--seeds", type=values.whole, default=3, help="so many (default 3)")
    vanishing.add_argument(
        "--gain",
        type=values.number,
        default=0.8,
        help="factor on the weights' standard deviation, where that is the cause (default 0.8)",
    )
    vanishing.add_argument(
        "--width", type=values.whole, help="filters of the first stage (default 16; fc 71)"
    )
    vanishing.add_argument(
        "--order",
        type=values.one_of("full_preact", "original"),
        default="full_preact",
        help="of nets with shortcuts: full_preact (v2, default) or original (v1), conv only",
    )
    vanishing.add_argument(
        "--n", type=values.whole, default=32, help="training images (default 32)"
    )
    vanishing.add_argument(
        "--of",
        type=values.one_of("parameters", "outputs"),
        default="parameters",
        help="parameters: the first layer's (default); outputs: first block ÷ last",
    )
    options.seed(vanishing, "the first one's")
    options.device(vanishing)
    add_outputs(vanishing)
    shattering = command(
        "shattering",
        "explorer.cli.propagation:run_shattering",
        "measure how gradients shatter with depth, in small untrained nets",
        "Nets of one input and one output: how alike dy/dx is at two inputs. No data, no loss; a\n"
        "second or two for each family.\n"
        + options.told(
            "balduzzi17.shattering", "shattering.plain", "shattering.residual", "shattering.highway"
        ),
        """\
  skipscope shattering
  skipscope shattering --families plain residual --depths 2 10 50 --beta 0.1
  skipscope shattering --families plain --no-batch-norm
  skipscope shattering --show likeness --html shattering.html""",
    )
    shattering.add_argument(
        "--families",
        nargs="+",
        type=values.one_of("plain", "residual", "highway"),
        default=["plain", "residual", "highway"],
        metavar="FAMILY",
        help="plain, residual, highway (default all)",
    )
    shattering.add_argument(
        "--depths",
        nargs="+",
        type=values.whole,
        default=[2, 4, 10, 24, 50],
        metavar="L",
        help="layers (default 2 4 10 24 50)",
    )
    shattering.add_argument("--no-batch-norm", action="store_true", help="without batch norm")
    shattering.add_argument(
        "--width", type=values.whole, default=200, help="units a layer (default 200)"
    )
    shattering.add_argument(
        "--seeds", type=values.whole, default=10, help="nets of each (default 10)"
    )
    shattering.add_argument(
        "--beta", type=values.any_number, default=1.0, help="factor on F, residual nets (default 1)"
    )
    shattering.add_argument(
        "--transform-bias",
        type=values.any_number,
        default=-2.0,
        help="highway nets' b_T (default -2)",
    )
    shattering.add_argument(
        "--show",
        type=values.one_of("autocorrelation", "cosine", "gradient", "likeness"),
        default="autocorrelation",
        help="what --html and --png draw: autocorrelation (default) or cosine (of directions) by "
        "distance, gradient, or likeness (cosine against depth)",
    )
    add_outputs(shattering)
