"""Commands that train, and what is said of a training afterwards."""

from __future__ import annotations

from explorer.claims import says
from explorer.cli.commands import options, values
from explorer.cli.commands.options import Command, Parser
from explorer.cli.outputs import add_outputs
from explorer.structure.specs import RECIPES


def train(command: Command) -> None:
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
    train.add_argument("nets", nargs="*", metavar="NAME", help=options.NAME)
    _choices_of_data(train, "what to train on (default digits)")
    _choices_of_recipe(train)
    options.seed(train, "of the weights and the order of the images")
    train.add_argument(
        "--seeds", type=values.whole, metavar="N", help="N seeds from that one on (default 1)"
    )
    options.device(train)
    train.set_defaults(seed=None, device=None)  # so that --resume knows what was given
    train.add_argument("--out", type=values.path, metavar="FOLDER", help="keep everything there")
    train.add_argument(
        "--resume", type=values.path, metavar="FOLDER", help="go on with a kept training"
    )
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
        "--keep-weights",
        type=values.steps,
        metavar="STEPS",
        help="keep them at these steps: 0,100,330",
    )
    train.add_argument(
        "--tensorboard", action="store_true", help="write TensorBoard's event files into --out"
    )
    options.json(train)


def _choices_of_data(parser: Parser, what: str) -> None:
    options.data(parser, what)
    parser.add_argument("--train-limit", type=values.whole, metavar="N", help="use only N images")
    parser.add_argument(
        "--augment", action="store_const", const=True, help="crop and flip at random"
    )
    parser.add_argument(
        "--cutout", type=values.whole, metavar="N", help="blank a square of N pixels a side"
    )
    parser.add_argument(
        "--label-noise", type=values.share, metavar="SHARE", help="training labels changed, as 0.2"
    )


def _choices_of_recipe(parser: Parser) -> None:
    parser.add_argument("--recipe", help=f"one of {', '.join(RECIPES)} (default one_cycle)")
    parser.add_argument(
        "--steps", type=values.whole, help="updates in all (the recipe's own by default)"
    )
    parser.add_argument("--seconds", type=values.number, metavar="S", help="train so long at most")
    parser.add_argument(
        "--target-error", type=values.share, metavar="SHARE", help="a lane ends at this test error"
    )
    parser.add_argument(
        "--lr", type=values.number, help="learning rate (the recipe's own by default)"
    )
    parser.add_argument(
        "--batch", type=values.whole, help="images a step (the recipe's own by default)"
    )
    parser.add_argument(
        "--eval-every", type=values.whole, metavar="STEPS", help="default: an epoch"
    )
    parser.add_argument(
        "--precision",
        type=values.one_of("float32", "bfloat16"),
        help="float32 or bfloat16 (autocast)",
    )
    parser.add_argument(
        "--units-per-batch",
        type=values.whole,
        metavar="K",
        help="exactly K units act in each batch",
    )
    parser.add_argument(
        "--set",
        action="append",
        metavar="FIELD=VALUE",
        help="any other choice of the recipe, such as optimizer=nesterov; repeat",
    )


def sweep(command: Command) -> None:
    sweep = command(
        "sweep",
        "explorer.cli.sweep:run_sweep",
        "train families of nets at several depths, and draw error against depth",
        "Every net is trained with one recipe, each seed on the same batches, one process a core "
        "(or GPU). N in a name stands for the depth; where a family has no net of just this depth, "
        "the nearest is taken. All is kept in a folder: Ctrl-C saves what is under way, and "
        "--resume goes on from there, to the same numbers as if nothing had happened. "
        + says("he15.degradation"),
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
        type=values.one_of("degradation", "sgs15"),
        help="degradation: plain and residual nets (He15 Fig 1 and 6); sgs15: "
        "fully connected plain and highway nets (SGS15 Fig 1); what else is given changes it",
    )
    sweep.add_argument(
        "--nets", nargs="+", metavar="NAME", help="up to four names with N for the depth: plain_N"
    )
    sweep.add_argument("--depths", type=values.wholes, metavar="D,D,…", help="such as 8,20,32,56")
    sweep.add_argument(
        "--seeds",
        type=values.whole,
        metavar="N",
        help="N seeds of each net, for a band (default 1)",
    )
    sweep.add_argument("--seed", type=values.seed_value, help="the first of them (default 7)")
    _choices_of_data(sweep, "what to train on (default digits)")
    _choices_of_recipe(sweep)
    sweep.add_argument(
        "--device", type=values.one_of("auto", "cpu", "cuda", "mps"), help="default auto"
    )
    sweep.add_argument(
        "--processes",
        type=values.whole,
        metavar="N",
        help="at a time (default: one a core, or GPU)",
    )
    sweep.add_argument(
        "--out",
        type=values.path,
        metavar="FOLDER",
        help="keep it there (default: in ~/.skipscope/sweeps)",
    )
    sweep.add_argument(
        "--resume", type=values.path, metavar="FOLDER", help="go on with a kept sweep"
    )
    sweep.add_argument(
        "--show",
        type=values.one_of("depth", "curves"),
        default="depth",
        help="what --html and --png draw: depth (default), or curves (every run by steps)",
    )
    sweep.set_defaults(keep_weights=None)
    add_outputs(sweep)


def report(command: Command) -> None:
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
    how.add_argument(
        "--html", type=values.path, metavar="FILE", help="default: the training's name .html"
    )
    how.add_argument("--csv", action="store_true", help="everything recorded as CSV on stdout")
    how.add_argument("--json", action="store_true", help="everything as one JSON document")


def zoo_and_bench(command: Command) -> None:
    zoo = command(
        "zoo",
        "explorer.cli.zoo:run_zoo",
        "make the trained nets that come with the program, or measure them again",
        "build: makes the files of pretrained/ again, with their cards: same seeds, same recipes.\n"
        "Nets for CIFAR-10 train for hours, in a folder of Skipscope's own; Ctrl-C saves, and\n"
        "--resume goes on. --from publishes a finished `skipscope train --out` instead.\n"
        "verify: measures again what the cards say, and fails where something differs by more\n"
        "than a card says it may; without CIFAR-10's images, nets for it are only read.",
        """\
  skipscope zoo verify
  skipscope zoo build --only digits_plain_56 --out /somewhere/else
  skipscope zoo build --only digits_plain_110 --trials
  skipscope zoo build --only cifar10_resnet_v2_20 --data cifar10 --resume
  skipscope zoo build --only cifar10_resnet_v2_20 --from runs/v2 --data my_cifar10
  skipscope zoo verify --only cifar10_resnet_v2_20 --data my_cifar10 --all""",
    )
    zoo.add_argument("what", choices=("build", "verify"), help="make, or measure again")
    zoo.add_argument("--only", action="append", metavar="NAME", help="only this one; repeat")
    options.data(zoo, "images of nets that are not for the digits")
    zoo.add_argument("--out", type=values.path, metavar="FOLDER", help="default: pretrained/")
    zoo.add_argument(
        "--trials",
        action="store_true",
        help="also from more seeds, and longer, for the card (5 to 14 times the cost)",
    )
    zoo.add_argument("--resume", action="store_true", help="go on with a training cut short")
    zoo.add_argument(
        "--from",
        dest="from_folder",
        type=values.path,
        metavar="FOLDER",
        help="publish this finished training",
    )
    zoo.add_argument(
        "--all",
        action="store_true",
        help="verify what is kept beside the cards, too, which takes long",
    )
    options.json(zoo)
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
        "crowd: thirty viewers and ten browsers of one training, and the server's memory a "
        "session.\n"
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
        type=values.one_of("forward", "lesions", "paths", "norms", "training", "app", "crowd"),
        help="which",
    )
    bench.add_argument("--net", default="resnet_v2_110", help=options.NAME)
    bench.add_argument("--size", type=values.whole, help="pixels a side (default: the net's own)")
    bench.add_argument(
        "--images", type=values.whole, default=64, help="images a batch (default 64)"
    )
    bench.add_argument("--steps", type=values.whole, default=10, help="of training (default 10)")
    bench.add_argument("--repeats", type=values.whole, default=3, help="repeats (default 3)")
    bench.add_argument(
        "--burn-in",
        type=values.whole,
        default=1,
        help="of forward, before them, not counted (default 1)",
    )
    bench.add_argument("--threads", type=values.whole, help="threads of torch (default: its own)")
    options.device(bench)
    options.json(bench)
