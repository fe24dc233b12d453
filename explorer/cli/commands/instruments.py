"""Commands that ask one question of a net: gradients, responses, gates, lesions, paths."""

from __future__ import annotations

from explorer.claims import says
from explorer.cli.commands import options, values
from explorer.cli.commands.options import Command
from explorer.cli.outputs import add_outputs


def lesions(command: Command) -> None:
    lesions = command(
        "lesions",
        "explorer.cli.lesions:run_lesions",
        "delete, move or swap units of a trained net and measure the accuracy",
        "one: delete each unit in turn. Deleting leaves what goes round the unit: the shortcut of "
        "a residual unit, the carried input of a highway unit, the earlier features of a dense "
        "unit. random: delete 1 to K units drawn at random. shuffle: reorder units of one shape "
        "more and more, against Kendall's τ. swap: every two units of one shape. stages: all of a "
        "stage that can be deleted. gates: hold the gate of each highway unit, or gated shortcut, "
        "at a value instead of letting it look at its input. "
        + says("lesions.residual", "lesions.plain", "veit16.delete_one", "sgs15.delete_one"),
        """\
  skipscope lesions digits_resnet_v2_56
  skipscope lesions digits_plain_56 digits_resnet_v2_56 --html fig3.html
  skipscope lesions digits_plain_56 --json
  skipscope lesions digits_resnet_v2_56 --kind random --k 20 --trials 10 --png fig5a.png
  skipscope lesions digits_resnet_v2_56 --kind random --recalibrate
  skipscope lesions digits_resnet_v2_56 --kind shuffle --moves neighbours --csv
  skipscope lesions digits_resnet_v2_56 --kind swap --stage 1
  skipscope lesions digits_densenet_40_k12 --kind stages --class 7
  skipscope lesions digits_fc_highway_50 --train --html fig4.html
  skipscope lesions digits_fc_highway_50 --kind gates --hold 0,1,mean
  skipscope lesions resnet_v2_20 --data cifar10 --weights lane-1-resnet_v2_20.safetensors
  skipscope lesions runs/he15/lane-1-resnet_v1_20.safetensors --n 1000
  skipscope lesions torchvision_resnet50 --weights default --data my_photos""",
    )
    lesions.add_argument("nets", nargs="+", metavar="NAME", help=options.NAME)
    lesions.add_argument(
        "--kind",
        type=values.one_of("one", "random", "shuffle", "swap", "stages", "gates"),
        default="one",
        help="one (default), random, shuffle, swap, stages or gates",
    )
    lesions.add_argument(
        "--k", type=values.whole, help="of random: most units deleted (default 20, or all)"
    )
    lesions.add_argument(
        "--trials",
        type=values.whole,
        metavar="N",
        help="of random: draws (10); of shuffle: walks (8)",
    )
    lesions.add_argument(
        "--points",
        type=values.whole,
        metavar="N",
        help="of shuffle: orders of each walk (default 12)",
    )
    lesions.add_argument(
        "--moves",
        type=values.one_of("pairs", "neighbours"),
        help="of shuffle: any pairs change places (default), or neighbours, down to reversed order",
    )
    lesions.add_argument(
        "--stage", type=values.whole, metavar="N", help="of swap: one stage, from 1"
    )
    lesions.add_argument(
        "--hold", type=values.gate_values, metavar="VALUES", help="of gates: default 0,1,mean"
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
        type=values.one_of("float32", "bfloat16"),
        default="float32",
        help="float32 (default), or bfloat16 for a quick look",
    )
    lesions.add_argument(
        "--train",
        action="store_true",
        help="accuracy on training images, as in the highway papers (default: test images)",
    )
    lesions.add_argument("--n", type=values.whole, help="so many images (default all)")
    options.data(lesions, "measure on this (default: what it was trained on, else digits)")
    options.weights(lesions)
    options.seed(lesions, "of what is drawn, and of fresh weights where there are no trained ones")
    options.device(lesions)
    add_outputs(lesions)


def gradients(command: Command) -> None:
    gradients = command(
        "gradients",
        "explorer.cli.gradients:run_gradients",
        "measure the gradient's magnitude layer by layer",
        "layers: root mean square of the loss gradient over each layer's weights, and over each\n"
        "unit's output, on one batch of training images. terms: what of it comes by the shortcuts\n"
        "alone, and what by the branches (He et al. 2016, Eq 5). init: fresh nets of these\n"
        "families against depth, with and without batch norm. scaling: with every shortcut λ·x,\n"
        "λ^L and what is measured (Eq 8). history: layer by step, from a training's folder.\n"
        + options.told("he15.healthy", "vanishing.normed", "vanishing.bare"),
        """\
  skipscope gradients plain_56 --data digits             an untrained net: it explodes
  skipscope gradients 'plain_56;batch_norm=false'        the weights of all layers alike
  skipscope gradients digits_plain_56 digits_resnet_v2_56 --html gradients.html
  skipscope gradients digits_resnet_v2_56 --view terms
  skipscope gradients plain_20 resnet_v2_20 --view init --depths 8,20,32,56 --of outputs
  skipscope gradients resnet_v2_56 --view scaling --scales 0.5,0.9,1,1.1 --json
  skipscope gradients runs/he15 --view history --html history.html
  skipscope gradients runs/he15 --view history --ends    first and last layers, by step""",
    )
    options.nets(gradients, "measure on this (default: what it was trained on, else digits)")
    gradients.add_argument(
        "--view",
        type=values.one_of("layers", "terms", "init", "scaling", "history"),
        default="layers",
        help="layers (default), terms, init, scaling or history",
    )
    gradients.add_argument(
        "--of",
        type=values.one_of("parameters", "outputs", "gates", "responses"),
        default="parameters",
        help="figures of layers, init and history: parameters (default) or outputs; of history "
        "also gates or responses",
    )
    gradients.add_argument(
        "--n",
        type=values.whole,
        help="training images (default 256; terms 128, init and scaling 64)",
    )
    gradients.add_argument("--depths", type=values.wholes, help="of init (default 8,20,32,44,56)")
    gradients.add_argument(
        "--seeds", type=values.whole, metavar="N", help="of init: so many (default 3)"
    )
    gradients.add_argument("--scales", type=values.numbers, help="of scaling: λ, from 0 to 2")
    gradients.add_argument(
        "--lane", type=values.whole, metavar="N", help="of history: one net, from 1 (default all)"
    )
    gradients.add_argument(
        "--ends",
        action="store_true",
        help="of history: the first three layers beside the last three, as a table or as curves",
    )
    add_outputs(gradients)


def responses(command: Command) -> None:
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
    options.nets(responses, "measure on this (default: what it was trained on, else digits)")
    responses.add_argument(
        "--view",
        type=values.one_of("layers", "branches", "classifier", "estimation"),
        default="layers",
        help="layers (default), branches, classifier or estimation",
    )
    responses.add_argument(
        "--sorted", action="store_true", help="figure of layers: from the greatest to the least"
    )
    responses.add_argument(
        "--of",
        type=values.one_of("ratio", "cosine", "cut"),
        help="figure of branches: ratio (default), cosine or cut",
    )
    responses.add_argument(
        "--n",
        type=values.whole,
        help="test images (default 1000; branches and estimation 256; classifier all)",
    )
    add_outputs(responses)


def gates(command: Command) -> None:
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
    options.nets(gates, "measure on this (default: what it was trained on, else digits)")
    gates.add_argument(
        "--view",
        type=values.one_of("mean", "maps", "distribution", "image"),
        default="mean",
        help="mean (default), maps, distribution or image",
    )
    gates.add_argument(
        "--n",
        type=values.whole,
        help="images (default 1000; maps all): test images, but see --train",
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
        "--channel",
        type=values.from_zero,
        metavar="N",
        help="of image: one channel (default: the mean)",
    )
    add_outputs(gates)


def paths(command: Command) -> None:
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
    options.nets(paths, "measure on this (default: what it was trained on, else digits)")
    paths.add_argument(
        "--view",
        type=values.one_of("gradient", "lengths", "toy", "multiplicity", "unravelled"),
        default="gradient",
        help="gradient (default), lengths, toy, multiplicity or unravelled",
    )
    paths.add_argument(
        "--of",
        type=values.one_of("curves", "per_path", "shares"),
        help="figure of gradient: curves (default), per_path (divided by C(n, k)) or shares",
    )
    paths.add_argument(
        "--n", type=values.whole, help="test images (default: gradient 64, unravelled all)"
    )
    paths.add_argument(
        "--draws",
        type=values.from_zero,
        metavar="N",
        help="of gradient: random paths and signs for every image and length (default 1); 0 for "
        "the exact curve alone",
    )
    paths.add_argument(
        "--longest",
        type=values.whole,
        metavar="K",
        help="of gradient: lengths 0 to K alone, quicker",
    )
    paths.add_argument(
        "--ratio", type=values.number, metavar="R", help="of toy (default 0.25; figures: a slider)"
    )
    paths.add_argument("--units", metavar="A,B,…", help="of unravelled: one to four, by name")
    paths.add_argument("--off", metavar="PATHS", help="of unravelled: paths such as 010,110")
    how = paths.add_mutually_exclusive_group()
    how.add_argument("--dot", action="store_true", help="of unravelled: Graphviz source")
    how.add_argument("--svg", action="store_true", help="of unravelled: the tree as SVG")
    how.add_argument(
        "--picture",
        type=values.path,
        metavar="FILE",
        help="of unravelled: the graph as a .png, .svg or .pdf file, by Graphviz's `dot`",
    )
    add_outputs(paths)
