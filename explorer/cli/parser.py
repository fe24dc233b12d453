"""Every command and option, with examples. Building it imports nothing heavy."""

from __future__ import annotations

import argparse
import difflib
import math
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from explorer.cli.outputs import add_outputs
from explorer.errors import SkipscopeError
from explorer.specs import DATASETS, RECIPES

Run = Callable[[argparse.Namespace], None]


class UsageError(SkipscopeError):
    """A command line that cannot be understood."""


class Parser(argparse.ArgumentParser):
    """argparse with sentences: errors are raised, not printed with the usage."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(
            *args,  # type: ignore[arg-type]
            **{  # type: ignore[arg-type]
                "formatter_class": argparse.RawDescriptionHelpFormatter,
                "allow_abbrev": False,
                **kwargs,
            },
        )

    def error(self, message: str) -> NoReturn:
        text = message.removeprefix("argument ").rstrip(".")
        raise UsageError(f"{text[0].upper()}{text[1:]}; see `{self.prog} --help`.")


def parse(argv: list[str]) -> argparse.Namespace:
    """The arguments, with ``run`` the function of the command (as ``module:function``).

    Raises:
        UsageError: One sentence with the nearest command or option.
    """
    parser, commands = build()
    argv = argv or ["--help"]
    first = next((word for word in argv if not word.startswith("-")), None)
    if first is not None and first not in commands:
        near = difflib.get_close_matches(first, commands, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(commands)}."
        raise UsageError(f"There is no command {first!r}: {hint}")
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        command = commands[args.command]
        options = [flag for action in command._actions for flag in action.option_strings]
        near = difflib.get_close_matches(unknown[0], options, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"see `{command.prog} --help`."
        what = "option" if unknown[0].startswith("-") else "further argument"
        raise UsageError(f"`{command.prog}` takes no {what} {unknown[0]!r}: {hint}")
    return args


def build() -> tuple[Parser, dict[str, Parser]]:
    """The whole parser, and the parser of each command by name."""
    parser = Parser(
        prog="skipscope",
        description="See why very deep networks train or fail: residual, highway, dense, plain.",
        epilog="""\
start here:
  skipscope app                                open it in the browser
  skipscope list                               nets, trained nets, data sets, recipes
  skipscope show resnet_v2_56                  what a net is made of
  skipscope lesions digits_resnet_v2_56        accuracy after deleting each unit
  skipscope train plain_20 resnet_v2_20        two nets on the same batches

Every command explains itself: skipscope train --help""",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    made: dict[str, Parser] = {}

    def command(name: str, run: str, summary: str, about: str, examples: str) -> Parser:
        made[name] = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.\n\n{about}",
            epilog=f"examples:\n{examples}",
        )
        made[name].set_defaults(run=run)
        return made[name]

    _app(command)
    _list_and_show(command)
    _train(command)
    _sweep(command)
    _instruments(command)
    _gradients(command)
    _responses(command)
    _gates(command)
    _paths(command)
    _one_image(command)
    _activations(command)
    _features_and_surface(command)
    _before_training(command)
    _export(command)
    _report(command)
    _publish_and_bench(command)
    return parser, made


Command = Callable[[str, str, str, str, str], Parser]


def _app(command: Command) -> None:
    app = command(
        "app",
        "explorer.cli.app:run_app",
        "open the program in the browser",
        "Starts the server of `streamlit run app.py` and opens a browser. Ctrl-C stops it.",
        """\
  skipscope app
  skipscope app --port 8600
  skipscope app --address 0.0.0.0      let others on the network in""",
    )
    app.add_argument("--port", type=_port, default=8501, help="port (default 8501)")
    app.add_argument(
        "--address", default="127.0.0.1", help="where to listen (default 127.0.0.1: this machine)"
    )
    app.add_argument("--no-browser", action="store_true", help="do not open a browser")


def _list_and_show(command: Command) -> None:
    listing = command(
        "list",
        "explorer.cli.show:run_list",
        "list nets, trained nets, data sets and recipes",
        "The nets are rows of the papers' tables; patterns such as plain_N stand for any depth.",
        """\
  skipscope list
  skipscope list --json""",
    )
    _json(listing)
    show = command(
        "show",
        "explorer.cli.show:run_show",
        "show what a net is made of",
        "Units in forward order with shapes, parameters and multiply-adds, counted without\n"
        "building the net.",
        """\
  skipscope show resnet_v2_56
  skipscope show 'resnet_v2_56;width=8' --data digits
  skipscope show highway_25 --json > highway.json      a spec file: edit and use it as NAME
  skipscope show plain_20 --dot | dot -Tpng > plain_20.png
  skipscope show densenet_40_k12 --svg > densenet.svg
  skipscope show resnet_v1_20 --against resnet_v2_20   what differs, unit by unit
  skipscope show plain_56 --against resnet_v2_56 --picture two.png
  skipscope show highway_25 --open stages.0.units.1 --left-right --picture highway.svg""",
    )
    _net(show)
    _data(show, "shape the net for this data")
    how = show.add_mutually_exclusive_group()
    _json(how)
    how.add_argument("--dot", action="store_true", help="the block graph as Graphviz source")
    how.add_argument("--svg", action="store_true", help="the block graph as SVG")
    how.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        help="draw the Graphviz source into a .png, .svg or .pdf file, by Graphviz's `dot`",
    )
    show.add_argument("--against", metavar="NAME", help="another net: say what differs")
    show.add_argument("--open", metavar="UNIT", help="draw this unit layer by layer")
    show.add_argument(
        "--left-right", action="store_true", help="draw from left to right, not top-down"
    )


def _train(command: Command) -> None:
    train = command(
        "train",
        "explorer.cli.train:run_train",
        "train one to four nets on the same batches",
        "All nets see the same batches from the same seed, so their curves can be compared.\n"
        "--out keeps weights, a card for each, every record and a checkpoint; Ctrl-C saves the\n"
        "checkpoint, and --resume goes on from it as if nothing had happened.",
        """\
  skipscope train plain_20 resnet_v2_20 --data digits
  skipscope train fc_highway_50 --recipe sgs15 --seed 1
  skipscope train resnet_v1_20 --data cifar10 --augment --recipe he15 --out runs/he15
  skipscope train --resume runs/he15
  skipscope train fc_plain_20 fc_highway_20 --seeds 5 --target-error 0.05
  skipscope train resnet_v2_110 --units-per-batch 23 --set label_smoothing=0.1
  skipscope train --resume runs/he15 --lr 0.01 --duplicate 1=cut    same weights, shortcuts cut
  skipscope train --resume runs/he15 --delete 1=stages.0.units.2
  skipscope train plain_8 --steps 50 --json | jq .lanes""",
    )
    train.add_argument("nets", nargs="*", metavar="NAME", help=_NAME)
    _choices_of_data(train, "what to train on (default digits)")
    _choices_of_recipe(train)
    _seed(train, "of the weights and the order of the images")
    train.add_argument(
        "--seeds", type=_whole, metavar="N", help="N seeds from that one on (default 1)"
    )
    _device(train)
    train.set_defaults(seed=None, device=None)  # so that --resume knows what was given
    train.add_argument("--out", type=Path, metavar="FOLDER", help="keep everything there")
    train.add_argument("--resume", type=Path, metavar="FOLDER", help="go on with a kept training")
    train.add_argument(
        "--duplicate",
        metavar="LANE=NAME",
        help="on --resume: one more lane, from this one's state, as another net, or `cut`",
    )
    train.add_argument(
        "--delete",
        metavar="LANE=UNIT,…",
        help="on --resume: pass by these units of a lane from now on; none: all act again",
    )
    train.add_argument(
        "--keep-weights", type=_steps, metavar="STEPS", help="keep them at these steps: 0,100,330"
    )
    train.add_argument(
        "--tensorboard", action="store_true", help="write TensorBoard's event files into --out"
    )
    _json(train)


def _choices_of_data(parser: Parser, what: str) -> None:
    _data(parser, what)
    parser.add_argument("--train-limit", type=_whole, metavar="N", help="use only N images")
    parser.add_argument(
        "--augment", action="store_const", const=True, help="crop and flip at random"
    )
    parser.add_argument(
        "--cutout", type=_whole, metavar="N", help="blank a square of N pixels a side"
    )
    parser.add_argument(
        "--label-noise", type=_share, metavar="SHARE", help="training labels changed, as 0.2"
    )


def _choices_of_recipe(parser: Parser) -> None:
    parser.add_argument("--recipe", help=f"one of {', '.join(RECIPES)} (default one_cycle)")
    parser.add_argument("--steps", type=_whole, help="updates in all (the recipe's own by default)")
    parser.add_argument("--seconds", type=_number, metavar="S", help="train so long at most")
    parser.add_argument(
        "--target-error", type=_share, metavar="SHARE", help="a lane ends at this test error"
    )
    parser.add_argument("--lr", type=_number, help="learning rate (the recipe's own by default)")
    parser.add_argument("--batch", type=_whole, help="images a step (the recipe's own by default)")
    parser.add_argument("--eval-every", type=_whole, metavar="STEPS", help="default: an epoch")
    parser.add_argument(
        "--precision", type=_one_of("float32", "bfloat16"), help="float32 or bfloat16 (autocast)"
    )
    parser.add_argument(
        "--units-per-batch", type=_whole, metavar="K", help="exactly K units act in each batch"
    )
    parser.add_argument(
        "--set",
        action="append",
        metavar="FIELD=VALUE",
        help="any other choice of the recipe, such as optimizer=nesterov; repeat",
    )


def _sweep(command: Command) -> None:
    sweep = command(
        "sweep",
        "explorer.cli.sweep:run_sweep",
        "train families of nets at several depths, and draw error against depth",
        "The deeper the plain net, the higher its error, on training images too; residual nets\n"
        "do not degrade (He et al. 2015, Fig 1 and 6). Every net is trained with one recipe, each\n"
        "seed on the same batches, one process a core (or GPU). N in a name stands for the depth;\n"
        "where a family has no net of just this depth, the nearest is taken.\n"
        "All is kept in a folder: Ctrl-C saves what is under way, and --resume goes on from\n"
        "there, to the same numbers as if nothing had happened.",
        """\
  skipscope sweep --preset degradation --html degradation.html
  skipscope sweep --preset sgs15 --seeds 5 --out runs/sgs15
  skipscope sweep --nets plain_N resnet_v2_N --depths 8,20,32,56 --seeds 3
  skipscope sweep --nets plain_N 'plain_N;batch_norm=false' --depths 8,14,20 --steps 200
  skipscope sweep --nets plain_N resnet_v2_N --depths 20,56 --data cifar10 --out runs/cifar10
  skipscope sweep --resume runs/cifar10                 go on, or show what is known
  skipscope sweep --resume runs/cifar10 --show curves --png curves.png""",
    )
    sweep.add_argument(
        "--preset",
        type=_one_of("degradation", "sgs15"),
        help="degradation: plain, residual, highway and dense nets (He15 Fig 1 and 6); sgs15: "
        "fully connected plain and highway nets (SGS15 Fig 1); what else is given changes it",
    )
    sweep.add_argument(
        "--nets", nargs="+", metavar="NAME", help="up to four names with N for the depth: plain_N"
    )
    sweep.add_argument("--depths", type=_wholes, metavar="D,D,…", help="such as 8,20,32,56")
    sweep.add_argument(
        "--seeds", type=_whole, metavar="N", help="N seeds of each net, for a band (default 1)"
    )
    sweep.add_argument("--seed", type=_seed_value, help="the first of them (default 7)")
    _choices_of_data(sweep, "what to train on (default digits)")
    _choices_of_recipe(sweep)
    sweep.add_argument("--device", type=_one_of("auto", "cpu", "cuda", "mps"), help="default auto")
    sweep.add_argument(
        "--processes", type=_whole, metavar="N", help="at a time (default: one a core, or GPU)"
    )
    sweep.add_argument(
        "--out", type=Path, metavar="FOLDER", help="keep it there (default: in ~/.skipscope/sweeps)"
    )
    sweep.add_argument("--resume", type=Path, metavar="FOLDER", help="go on with a kept sweep")
    sweep.add_argument(
        "--show",
        type=_one_of("depth", "curves"),
        default="depth",
        help="what --html and --png draw: depth (default), or curves (every run by steps)",
    )
    sweep.set_defaults(keep_weights=None)
    add_outputs(sweep)


def _instruments(command: Command) -> None:
    lesions = command(
        "lesions",
        "explorer.cli.lesions:run_lesions",
        "delete, move or swap units of a trained net and measure the accuracy",
        "one: delete each unit in turn. Deleting leaves what goes round the unit: the shortcut of\n"
        "a residual unit, the carried input of a highway unit, the earlier features of a dense\n"
        "unit. A plain net falls to chance, a residual net hardly notices (Veit et al. 2016,\n"
        "Fig 3). random: delete 1 to K units drawn at random (Fig 5a). shuffle: reorder units of\n"
        "one shape more and more, against Kendall's τ (Fig 5b). swap: every two units of one\n"
        "shape. stages: all of a stage that can be deleted. gates: hold the gate of each highway\n"
        "unit, or gated shortcut, at a value instead of letting it look at its input.",
        """\
  skipscope lesions digits_resnet_v2_56
  skipscope lesions digits_plain_56 digits_resnet_v2_56 --html fig3.html
  skipscope lesions digits_plain_56 --json
  skipscope lesions digits_resnet_v2_56 --kind random --k 20 --trials 10 --png fig5a.png
  skipscope lesions digits_resnet_v2_56 --kind random --recalibrate
  skipscope lesions digits_resnet_v2_56 --kind shuffle --moves neighbours --csv
  skipscope lesions digits_resnet_v2_56 --kind swap --stage 1
  skipscope lesions digits_densenet_40_k12 --kind stages --class 7
  skipscope lesions digits_fc_highway_50 --kind gates --hold 0,1,mean
  skipscope lesions resnet_v2_20 --data cifar10 --weights lane-1-resnet_v2_20.safetensors
  skipscope lesions runs/he15/lane-1-resnet_v1_20.safetensors --n 1000
  skipscope lesions torchvision_resnet50 --weights default --data my_photos""",
    )
    lesions.add_argument("nets", nargs="+", metavar="NAME", help=_NAME)
    lesions.add_argument(
        "--kind",
        type=_one_of("one", "random", "shuffle", "swap", "stages", "gates"),
        default="one",
        help="one (default), random, shuffle, swap, stages or gates",
    )
    lesions.add_argument(
        "--k", type=_whole, help="of random: most units deleted (default 20, or all)"
    )
    lesions.add_argument(
        "--trials", type=_whole, metavar="N", help="of random: draws (10); of shuffle: walks (8)"
    )
    lesions.add_argument(
        "--points", type=_whole, metavar="N", help="of shuffle: orders of each walk (default 12)"
    )
    lesions.add_argument(
        "--moves",
        type=_one_of("pairs", "neighbours"),
        help="of shuffle: any pairs change places (default), or neighbours, down to reversed order",
    )
    lesions.add_argument("--stage", type=_whole, metavar="N", help="of swap: one stage, from 1")
    lesions.add_argument(
        "--hold", type=_gate_values, metavar="VALUES", help="of gates: default 0,1,mean"
    )
    lesions.add_argument(
        "--recalibrate",
        action="store_true",
        help="measure batch norm's statistics anew for each lesion, on 512 training images",
    )
    lesions.add_argument(
        "--class", dest="of_class", metavar="NAME", help="accuracy among the images of this class"
    )
    lesions.add_argument(
        "--precision",
        type=_one_of("float32", "bfloat16"),
        default="float32",
        help="float32 (default), or bfloat16 for a quick look",
    )
    lesions.add_argument("--n", type=_whole, help="test images (default all)")
    _data(lesions, "measure on this (default: what it was trained on, else digits)")
    _weights(lesions)
    _seed(lesions, "of what is drawn, and of fresh weights where there are no trained ones")
    _device(lesions)
    add_outputs(lesions)


def _gradients(command: Command) -> None:
    gradients = command(
        "gradients",
        "explorer.cli.gradients:run_gradients",
        "measure the gradient's magnitude layer by layer",
        "layers: root mean square of the loss gradient over each layer's weights, and over each\n"
        "unit's output, on one batch of training images. terms: what of it comes by the shortcuts\n"
        "alone, and what by the branches (He et al. 2016, Eq 5). init: fresh nets of these\n"
        "families against depth, with and without batch norm. scaling: with every shortcut λ·x,\n"
        "λ^L and what is measured (Eq 8). history: layer by step, from a training's folder.",
        """\
  skipscope gradients plain_56 --data digits             an untrained net
  skipscope gradients 'plain_56;batch_norm=false'        what batch norm prevents
  skipscope gradients digits_plain_56 digits_resnet_v2_56 --html gradients.html
  skipscope gradients digits_resnet_v2_56 --view terms
  skipscope gradients plain_20 resnet_v2_20 --view init --depths 8,20,32,56 --of outputs
  skipscope gradients resnet_v2_56 --view scaling --scales 0.5,0.9,1,1.1 --json
  skipscope gradients runs/he15 --view history --html history.html""",
    )
    _nets(gradients, "measure on this (default: what it was trained on, else digits)")
    gradients.add_argument(
        "--view",
        type=_one_of("layers", "terms", "init", "scaling", "history"),
        default="layers",
        help="layers (default), terms, init, scaling or history",
    )
    gradients.add_argument(
        "--of",
        type=_one_of("parameters", "outputs", "gates", "responses"),
        default="parameters",
        help="figures of layers, init and history: parameters (default) or outputs; of history "
        "also gates or responses",
    )
    gradients.add_argument(
        "--n", type=_whole, help="training images (default 256; terms 128, init and scaling 64)"
    )
    gradients.add_argument("--depths", type=_wholes, help="of init (default 8,20,32,44,56)")
    gradients.add_argument("--seeds", type=_whole, metavar="N", help="of init: so many (default 3)")
    gradients.add_argument("--scales", type=_numbers, help="of scaling: λ, from 0 to 2")
    gradients.add_argument(
        "--lane", type=_whole, metavar="N", help="of history: one net, from 1 (default all)"
    )
    add_outputs(gradients)


def _responses(command: Command) -> None:
    responses = command(
        "responses",
        "explorer.cli.responses:run_responses",
        "measure what layers and branches answer",
        "layers: standard deviation of each layer's response (He et al. 2015, Fig 7).\n"
        "branches: the size of each unit's F against its input, its direction against the loss\n"
        "gradient (Jastrzebski et al. 2018), and what the ReLU after an addition cuts.\n"
        "classifier: the accuracy of the classifier applied after every unit of the last stage.\n"
        "estimation: each unit's output against the end of its stage (Greff et al. 2017).",
        """\
  skipscope responses digits_plain_56 digits_resnet_v2_56
  skipscope responses digits_plain_56 digits_resnet_v2_56 --sorted --html fig7.html
  skipscope responses digits_resnet_v2_56 --view branches
  skipscope responses digits_resnet_v2_56 --view branches --of cosine --png cosine.png
  skipscope responses digits_resnet_v2_56 --view classifier --json
  skipscope responses digits_fc_highway_50 --view estimation --csv""",
    )
    _nets(responses, "measure on this (default: what it was trained on, else digits)")
    responses.add_argument(
        "--view",
        type=_one_of("layers", "branches", "classifier", "estimation"),
        default="layers",
        help="layers (default), branches, classifier or estimation",
    )
    responses.add_argument(
        "--sorted", action="store_true", help="figure of layers: from the greatest to the least"
    )
    responses.add_argument(
        "--of",
        type=_one_of("ratio", "cosine", "cut"),
        help="figure of branches: ratio (default), cosine or cut",
    )
    responses.add_argument(
        "--n",
        type=_whole,
        help="test images (default 1000; branches and estimation 256; classifier all)",
    )
    add_outputs(responses)


def _gates(command: Command) -> None:
    gates = command(
        "gates",
        "explorer.cli.gates:run_gates",
        "measure the gates of a highway net, or of gated shortcuts",
        "mean: of T(x) by unit over test images; near 0 a unit carries its input on, near 1 it\n"
        "replaces it. maps: unit by channel: biases before and after training, means, the gates\n"
        "and outputs for one image, one class less the mean (Srivastava et al. 2015, Fig 2, 3).\n"
        "distribution: quantiles. image: where on an image the gates are open. Of a residual net\n"
        "with gated shortcuts (He et al. 2016, 3.1) the gates g(x) of these.",
        """\
  skipscope gates digits_fc_highway_50
  skipscope gates highway_25 --data digits --seed 3 --json
  skipscope gates digits_fc_highway_50 --view maps --image 3 --class 8 --html fig2.html
  skipscope gates digits_fc_highway_50 --view distribution
  skipscope gates highway_25 --view image --image 3 --html open.html
  skipscope gates 'resnet_v2_20;shortcut=exclusive_gating'""",
    )
    _nets(gates, "measure on this (default: what it was trained on, else digits)")
    gates.add_argument(
        "--view",
        type=_one_of("mean", "maps", "distribution", "image"),
        default="mean",
        help="mean (default), maps, distribution or image",
    )
    gates.add_argument(
        "--n", type=_whole, help="images (default 1000; maps all): test images, but see --train"
    )
    gates.add_argument(
        "--image",
        metavar="N|FILE",
        help="of maps and image: a test image by its number (default 0), or an image file",
    )
    gates.add_argument(
        "--class", metavar="CLASS", help="of maps: a class by name or number, less the mean"
    )
    gates.add_argument(
        "--train", action="store_true", help="of maps: the mean over training images"
    )
    gates.add_argument(
        "--channel", type=_from_zero, metavar="N", help="of image: one channel (default: the mean)"
    )
    add_outputs(gates)


def _paths(command: Command) -> None:
    paths = command(
        "paths",
        "explorer.cli.paths:run_paths",
        "measure which paths through a net carry the gradient",
        "A net of n residual, highway or dense units has 2^n paths; a path's length is how many\n"
        "branches it takes (Veit et al. 2016). gradient: three curves by length: the exact sum of\n"
        "all paths of a length (coherent), the root of their summed squares (incoherent), and the\n"
        "paper's C(n, k) times the mean norm of sampled paths. lengths: how many paths there are\n"
        "of each length. toy: were every branch to scale the gradient by r. multiplicity: paths\n"
        "of deeper and of wider nets. unravelled: up to four units written out to their paths,\n"
        "and what switching paths off does; 010 goes through the second of three branches alone.",
        """\
  skipscope paths digits_resnet_v2_56
  skipscope paths digits_resnet_v2_56 --draws 4 --n 360 --html paths.html
  skipscope paths digits_resnet_v2_56 --of shares --png shares.png
  skipscope paths resnet_v2_110 --data cifar10 --longest 20 --draws 0 --json
  skipscope paths 'resnet_v2_110;survival_prob=0.5' --view lengths
  skipscope paths resnet_v2_110 --view toy --html toy.html        r is a slider there
  skipscope paths resnet_v2_56 highway_31 --view multiplicity
  skipscope paths resnet_v2_8 --view unravelled --off 010,110
  skipscope paths digits_resnet_v2_56 --view unravelled \\
      --units stages.0.units.0,stages.1.units.0,stages.2.units.0
  skipscope paths resnet_v2_8 --view unravelled --picture paths.svg""",
    )
    _nets(paths, "measure on this (default: what it was trained on, else digits)")
    paths.add_argument(
        "--view",
        type=_one_of("gradient", "lengths", "toy", "multiplicity", "unravelled"),
        default="gradient",
        help="gradient (default), lengths, toy, multiplicity or unravelled",
    )
    paths.add_argument(
        "--of",
        type=_one_of("curves", "per_path", "shares"),
        help="figure of gradient: curves (default), per_path (divided by C(n, k)) or shares",
    )
    paths.add_argument(
        "--n", type=_whole, help="test images (default: gradient 64, unravelled all)"
    )
    paths.add_argument(
        "--draws",
        type=_from_zero,
        metavar="N",
        help="of gradient: random paths and signs for every image and length (default 1); 0 for "
        "the exact curve alone",
    )
    paths.add_argument(
        "--longest", type=_whole, metavar="K", help="of gradient: lengths 0 to K alone, quicker"
    )
    paths.add_argument(
        "--ratio", type=_number, metavar="R", help="of toy (default 0.25; figures: a slider)"
    )
    paths.add_argument("--units", metavar="A,B,…", help="of unravelled: one to four, by name")
    paths.add_argument("--off", metavar="PATHS", help="of unravelled: paths such as 010,110")
    how = paths.add_mutually_exclusive_group()
    how.add_argument("--dot", action="store_true", help="of unravelled: Graphviz source")
    how.add_argument("--svg", action="store_true", help="of unravelled: the tree as SVG")
    how.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        help="of unravelled: the graph as a .png, .svg or .pdf file, by Graphviz's `dot`",
    )
    add_outputs(paths)


def _nets(parser: Parser, data: str) -> None:
    """Any number of nets, side by side."""
    parser.add_argument("nets", nargs="+", metavar="NAME", help=_NAME)
    _data(parser, data)
    _weights(parser)
    _seed(parser, "of the fresh weights where there are no trained ones")
    _device(parser)


def _one_image(command: Command) -> None:
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
    _nets_and_image(attribute)
    attribute.add_argument(
        "--method",
        type=_one_of("saliency", "integrated_gradients", "grad_cam", "occlusion", "conductance"),
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
        type=_one_of("black", "white", "mean"),
        default="black",
        help="the image without evidence: black (default), white or mean",
    )
    attribute.add_argument(
        "--steps", type=_whole, help="of the integrals (default: doubled until they add up)"
    )
    attribute.add_argument("--window", type=_whole, metavar="PIXELS", help="of occlusion: its side")
    add_outputs(attribute)


def _activations(command: Command) -> None:
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
    _nets_and_image(activations)
    activations.add_argument(
        "--unit",
        action="append",
        metavar="UNITS",
        help="units, separated by commas (default: the last of each stage); repeat for each net",
    )
    activations.add_argument(
        "--part",
        type=_one_of("output", "branch", "shortcut"),
        default="output",
        help="output (default), branch or shortcut",
    )
    activations.add_argument(
        "--channels",
        type=_one_of("strongest", "first"),
        default="strongest",
        help="strongest: of the greatest mean magnitude (default), or first",
    )
    activations.add_argument(
        "--k", type=_whole, default=16, help="how many channels of a unit (default 16)"
    )
    add_outputs(activations)


def _nets_and_image(parser: Parser) -> None:
    """Any number of nets, one image, units to leave out."""
    parser.add_argument("nets", nargs="+", metavar="NAME", help=_NAME)
    parser.add_argument(
        "--image",
        default="0",
        metavar="N|FILE",
        help="a test image by its number (default 0), or an image file of yours",
    )
    parser.add_argument(
        "--delete",
        action="append",
        metavar="UNITS",
        help="leave out these units, separated by commas; repeat for each net",
    )
    _data(parser, "the test images (default: what the net was trained on, else digits)")
    _weights(parser)
    _seed(parser, "of the fresh weights where there are no trained ones")
    _device(parser)


def _features_and_surface(command: Command) -> None:
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
    _nets(reuse, "shape the net for this data (no images are loaded)")
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
    _nets(surface, "measure on this (default: what it was trained on, else digits)")
    surface.add_argument(
        "--resolution", type=_whole, default=51, metavar="N", help="points a side (default 51)"
    )
    surface.add_argument("--span", type=_number, default=1.0, help="from −SPAN to SPAN (default 1)")
    surface.add_argument("--line", action="store_true", help="along the first direction alone")
    surface.add_argument("--n", type=_whole, default=256, help="training images (default 256)")
    surface.add_argument(
        "--direction", type=_seed_value, default=0, help="seed of the directions (default 0)"
    )
    surface.add_argument(
        "--norm",
        type=_one_of("running", "batch"),
        default="running",
        help="what batch norm takes: running statistics (default), or the batch's, point by point",
    )
    surface.add_argument(
        "--view",
        type=_one_of("contour", "surface", "line"),
        help="of --html and --png: contour (default), surface or line",
    )
    surface.add_argument(
        "--cap", type=_number, default=10.0, help="losses above this look alike (default 10)"
    )
    surface.add_argument("--keep", type=Path, metavar="FILE", help="write points there, or go on")
    add_outputs(reuse)
    add_outputs(surface)


def _before_training(command: Command) -> None:
    propagation = command(
        "propagation",
        "explorer.cli.propagation:run_propagation",
        "measure signal and gradient from the image to the last unit, at initialisation",
        "Variance of every unit's output, and the loss gradient there, over some fresh nets.\n"
        "Without batch norm a residual net's variance doubles with every unit; with it, a plain\n"
        "net's gradient grows towards the input.",
        """\
  skipscope propagation plain_56 resnet_v2_56 --data digits
  skipscope propagation resnet_v2_56 'resnet_v2_56;batch_norm=false' --html variance.html
  skipscope propagation plain_56 resnet_v2_56 --of gradient --png gradient.png
  skipscope propagation digits_resnet_v2_56 --own-weights""",
    )
    _nets(propagation, "measure on this (default: what it was trained on, else digits)")
    propagation.add_argument("--n", type=_whole, default=64, help="training images (default 64)")
    propagation.add_argument("--seeds", type=_whole, default=5, help="fresh nets (default 5)")
    propagation.add_argument(
        "--own-weights", action="store_true", help="measure the net as it is, not fresh ones"
    )
    propagation.add_argument(
        "--of",
        type=_one_of("variance", "gradient"),
        default="variance",
        help="what --html and --png draw: variance (default) or gradient",
    )
    sensitivity = command(
        "sensitivity",
        "explorer.cli.sensitivity:run_sensitivity",
        "show how much louder a change is for a residual branch than for a plain map",
        "A unit that maps 5 to 5.1 and is to map it to 5.2 changes its output by 2 %, but its\n"
        "residual F = output − input by 100 %. In a net: ‖output‖ / ‖F‖, unit by unit.",
        """\
  skipscope sensitivity                               the worked example
  skipscope sensitivity --example 10 10.5 11          with other numbers
  skipscope sensitivity digits_resnet_v2_56
  skipscope sensitivity resnet_v2_56 digits_resnet_v2_56 --html amplifier.html""",
    )
    sensitivity.add_argument("nets", nargs="*", metavar="NAME", help=_NAME)
    sensitivity.add_argument(
        "--example",
        nargs=3,
        type=_any_number,
        default=[5.0, 5.1, 5.2],
        metavar=("X", "BEFORE", "AFTER"),
        help="input, output, and the output that is wanted instead (default 5 5.1 5.2)",
    )
    sensitivity.add_argument("--n", type=_whole, default=200, help="test images (default 200)")
    sensitivity.add_argument(
        "--nudge", type=_number, default=0.02, help="share by which inputs move (default 0.02)"
    )
    sensitivity.add_argument(
        "--of",
        type=_one_of("target", "input"),
        default="target",
        help="what --html and --png draw: target (‖output‖ / ‖F‖, default) or input (moved by a "
        "nudge)",
    )
    _data(sensitivity, "measure on this (default: what it was trained on, else digits)")
    _weights(sensitivity)
    _seed(sensitivity, "of the fresh weights where there are no trained ones")
    _device(sensitivity)
    add_outputs(propagation)
    add_outputs(sensitivity)
    shattering = command(
        "shattering",
        "explorer.cli.propagation:run_shattering",
        "measure how gradients shatter with depth, in small untrained nets",
        "Nets of one input and one output: how alike dy/dx is at two inputs. In plain nets with\n"
        "batch norm it halves with every layer and becomes white noise; shortcuts keep it alike\n"
        "(Balduzzi et al. 2017). No data; a second or two for each family.",
        """\
  skipscope shattering
  skipscope shattering --families plain residual --depths 2 10 50 --beta 0.1
  skipscope shattering --families plain --no-batch-norm
  skipscope shattering --show likeness --html shattering.html""",
    )
    shattering.add_argument(
        "--families",
        nargs="+",
        type=_one_of("plain", "residual", "highway"),
        default=["plain", "residual", "highway"],
        metavar="FAMILY",
        help="plain, residual, highway (default all)",
    )
    shattering.add_argument(
        "--depths",
        nargs="+",
        type=_whole,
        default=[2, 4, 10, 24, 50],
        metavar="L",
        help="layers (default 2 4 10 24 50)",
    )
    shattering.add_argument("--no-batch-norm", action="store_true", help="without batch norm")
    shattering.add_argument("--width", type=_whole, default=200, help="units a layer (default 200)")
    shattering.add_argument("--seeds", type=_whole, default=10, help="nets of each (default 10)")
    shattering.add_argument(
        "--beta", type=_any_number, default=1.0, help="factor on F, residual nets (default 1)"
    )
    shattering.add_argument(
        "--transform-bias", type=_any_number, default=-2.0, help="highway nets' b_T (default -2)"
    )
    shattering.add_argument(
        "--show",
        type=_one_of("autocorrelation", "gradient", "likeness"),
        default="autocorrelation",
        help="what --html and --png draw: autocorrelation (default), gradient or likeness (against "
        "depth)",
    )
    add_outputs(shattering)


def _report(command: Command) -> None:
    report = command(
        "report",
        "explorer.cli.report:run_report",
        "write what trainings were and did as one HTML file",
        "Curves, gradients by layer over time, gates, lesion curves, settings, what differs\n"
        "between the lanes, and the conditions, with interactive figures and their tables.\n"
        "The file opens without a network. A run of the app is named by its id, which the Runs\n"
        "page shows; it can be read while the app trains. At most four lanes in all.",
        """\
  skipscope report runs/pair --html pair.html            of `train plain_20 … --out runs/pair`
  skipscope report 7mnq3xk2pabc                          of a run that was trained in the app
  skipscope report 7mnq3xk2pabc.1 runs/pair              its second lane beside others
  skipscope report runs/pair --csv > pair.csv            every recorded number, one a row
  skipscope report runs/pair --json > pair.json""",
    )
    report.add_argument(
        "trainings",
        nargs="+",
        metavar="TRAINING",
        help="a folder that `train --out` wrote, or a stored run: ID, or ID.LANE (from 0)",
    )
    how = report.add_mutually_exclusive_group()
    how.add_argument("--html", type=Path, metavar="FILE", help="default: the training's name .html")
    how.add_argument("--csv", action="store_true", help="everything recorded as CSV on stdout")
    how.add_argument("--json", action="store_true", help="everything as one JSON document")


def _export(command: Command) -> None:
    export = command(
        "export",
        "explorer.cli.export:run_export",
        "write a net as one PyTorch file",
        "The file needs torch alone, builds the same net and loads the same weights. It holds\n"
        "only what this net needs, so that it can be read and taught from.",
        """\
  skipscope export resnet_v2_20
  skipscope export 'highway_25;width=8' --data digits --out highway.py
  skipscope export digits_resnet_v2_56 --out resnet.py        with resnet.safetensors beside it
  skipscope export plain_20 --class-name MyNet --out my_net.py""",
    )
    _net(export)
    _data(export, "shape the net for this data")
    export.add_argument(
        "--weights", type=Path, metavar="FILE", help="lay these weights beside it (.safetensors)"
    )
    export.add_argument("--class-name", metavar="NAME", help="the net's class (default: its title)")
    export.add_argument("--out", type=Path, metavar="FILE.py", help="default: the terminal")


def _publish_and_bench(command: Command) -> None:
    publish = command(
        "publish",
        "explorer.cli.publish:run_publish",
        "train the nets that come with the program",
        "Makes the files of pretrained/ again, with their cards: the same seeds, the same recipes.",
        """\
  skipscope publish
  skipscope publish --only digits_plain_56 --out /somewhere/else""",
    )
    publish.add_argument("--out", type=Path, metavar="FOLDER", help="default: pretrained/")
    publish.add_argument("--only", action="append", metavar="NAME", help="only this one; repeat")
    _json(publish)
    bench = command(
        "bench",
        "explorer.cli.bench:run_bench",
        "measure the speed of forward passes, lesions, paths, gradient norms, training, or the app",
        "forward: seconds a batch, fp32 as it is against channels_last and bfloat16; ImageNet's\n"
        "nets also against torchvision's and timm's.\n"
        "lesions: all single deletions on the program engine against one full forward pass for\n"
        "each.\n"
        "paths: the gradient of all path lengths, in forward and backward passes of training.\n"
        "norms: gradient norms by layer and unit, as a share of a training step.\n"
        "training: steps of the loop against DataLoader, PIL and float32; `--net papers` takes\n"
        "the papers' nets at two sizes, and with commas fully connected lanes train together.\n"
        "app: the server and a real Chromium (needs the `test` extra).\n"
        "crowd: thirty viewers of one training, and the server's memory a session.\n"
        "Medians of repeats; the conditions are printed with the numbers.",
        """\
  skipscope bench lesions --net resnet_v2_110 --size 32 --images 64
  skipscope bench paths --net resnet_v2_110 --size 32 --images 32
  skipscope bench norms --net resnet_v2_56 --size 32 --images 128
  skipscope bench forward --net resnet_v1_20 --size 32 --images 128 --repeats 5 --json
  skipscope bench forward --net imagenet_resnet_v2_152 --images 32 --burn-in 10 --repeats 100
  skipscope bench training --net resnet_v2_20 --images 128 --steps 10
  skipscope bench training --net papers --images 128 --steps 4
  skipscope bench training --net fc_plain_50,fc_residual_50 --size 8 --images 128""",
    )
    bench.add_argument(
        "what",
        metavar="WHAT",
        type=_one_of("forward", "lesions", "paths", "norms", "training", "app", "crowd"),
        help="which",
    )
    bench.add_argument("--net", default="resnet_v2_110", help=_NAME)
    bench.add_argument("--size", type=_whole, help="pixels a side (default: the net's own)")
    bench.add_argument("--images", type=_whole, default=64, help="images a batch (default 64)")
    bench.add_argument("--steps", type=_whole, default=10, help="of training (default 10)")
    bench.add_argument("--repeats", type=_whole, default=3, help="repeats (default 3)")
    bench.add_argument(
        "--burn-in", type=_whole, default=1, help="of forward, before them, not counted (default 1)"
    )
    bench.add_argument("--threads", type=_whole, help="threads of torch (default: its own)")
    _device(bench)
    _json(bench)


# -------------------------------------------------------------------------------- what recurs

_NAME = (
    "a name or token of `skipscope list`, a trained net's name, a spec file (.json), weights "
    "with their card (.safetensors), or another library's net (torchvision_resnet50) to look at"
)


def _net(parser: Parser) -> None:
    parser.add_argument("net", metavar="NAME", help=_NAME)


def _data(parser: Parser, what: str) -> None:
    parser.add_argument(
        "--data", metavar="DATA", help=f"{what}: {', '.join(DATASETS)}, or a folder of images"
    )
    parser.add_argument(
        "--image-size", type=_whole, metavar="N", help="pixels a side of a folder's images"
    )


def _weights(parser: Parser) -> None:
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="weights of this net (.safetensors; of another library's also .pt or .pth, or "
        "`default` for the library's own)",
    )


def _json(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def _seed(parser: Parser, what: str) -> None:
    parser.add_argument("--seed", type=_seed_value, default=7, help=f"{what} (default 7)")


def _device(parser: Parser) -> None:
    parser.add_argument(
        "--device",
        type=_one_of("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="auto, cpu, cuda or mps (default auto)",
    )


def _one_of(*allowed: str) -> Callable[[str], str]:
    """One of these words; a hyphen may stand for an underscore."""

    def check(value: str) -> str:
        if value.replace("-", "_") in allowed:
            return value.replace("-", "_")
        ways = ", ".join(allowed[:-1])
        raise argparse.ArgumentTypeError(f"choose {ways} or {allowed[-1]}, not {value!r}")

    return check


def _whole(value: str) -> int:
    if value.isascii() and value.isdigit() and 0 < int(value[:12]) < 2**31:
        return int(value)
    raise argparse.ArgumentTypeError(f"give a whole number of at least 1, not {value!r}")


def _share(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if 0 <= number < 1:
        return number
    raise argparse.ArgumentTypeError(f"give a share from 0 to less than 1, not {value!r}")


def _steps(value: str) -> tuple[int, ...]:
    parts = value.split(",")
    if all(part.isascii() and part.isdigit() and len(part) <= 9 for part in parts):
        return tuple(map(int, parts))
    raise argparse.ArgumentTypeError(f"give whole numbers with commas between, not {value!r}")


def _seed_value(value: str) -> int:
    if value.isascii() and value.isdigit() and len(value) <= 10 and int(value) < 2**31:
        return int(value)
    raise argparse.ArgumentTypeError(f"give a whole number from 0 to 2147483647, not {value!r}")


def _port(value: str) -> int:
    if value.isascii() and value.isdigit() and len(value) <= 5 and 1 <= int(value) <= 65_535:
        return int(value)
    raise argparse.ArgumentTypeError(f"give a port from 1 to 65535, not {value!r}")


def _from_zero(value: str) -> int:
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return int(value)
    raise argparse.ArgumentTypeError(f"give a whole number from 0, not {value!r}")


def _wholes(value: str) -> tuple[int, ...]:
    return tuple(_whole(part.strip()) for part in value.split(","))


def _gate_values(value: str) -> tuple[float | str, ...]:
    """Numbers from 0 to 1, or ``mean``, separated by commas."""
    values: list[float | str] = []
    for part in (part.strip() for part in value.split(",")):
        try:
            number = float(part)
        except ValueError:
            number = math.nan
        if part != "mean" and not 0 <= number <= 1:
            raise argparse.ArgumentTypeError(
                f"give values from 0 to 1 or mean, such as 0,1,mean, not {part!r}"
            )
        values.append("mean" if part == "mean" else number)
    return tuple(values)


def _numbers(value: str) -> tuple[float, ...]:
    """Numbers from 0, separated by commas."""
    numbers = []
    for part in value.split(","):
        try:
            number = float(part)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number >= 0):
            raise argparse.ArgumentTypeError(f"give numbers from 0, not {part.strip()!r}")
        numbers.append(number)
    return tuple(numbers)


def _number(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if math.isfinite(number) and number > 0:
        return number
    raise argparse.ArgumentTypeError(f"give a number above 0, not {value!r}")


def _any_number(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        return number
    raise argparse.ArgumentTypeError(f"give a number, not {value!r}")
