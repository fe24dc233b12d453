"""Commands on nets: the app that shows them, what there is, what one is made of, its code."""

from __future__ import annotations

from explorer.cli.commands import options, values
from explorer.cli.commands.options import Command
from explorer.pages.server.rights import GRANTS
from explorer.writing.formats import WEIGHTS_KINDS


def app(command: Command) -> None:
    app = command(
        "app",
        "explorer.cli.app:run_app",
        "open the program in the browser",
        "Starts the server of `streamlit run app.py` and opens a browser. Ctrl-C stops it.",
        """\
  skipscope app
  skipscope app --port 8600
  skipscope app --address 0.0.0.0      let others on the network in
  skipscope app --host lab.example.org      behind a proxy of this name""",
    )
    app.add_argument("--port", type=values.port, default=8501, help="port (default 8501)")
    app.add_argument(
        "--address", default="127.0.0.1", help="where to listen (default 127.0.0.1: this machine)"
    )
    app.add_argument(
        "--host",
        action="append",
        type=values.host,
        default=[],
        metavar="NAME",
        help="answer to this name too, such as a proxy's: lab.example.org, *.example.org, "
        "lab.example.org:8443; repeat",
    )
    app.add_argument(
        "--allow",
        action="append",
        choices=list(GRANTS),
        default=[],
        help="switch on for everybody on the network: "
        + "; ".join(f"{grant}: {words}" for grant, words in GRANTS.items())
        + "; repeat",
    )
    app.add_argument("--no-browser", action="store_true", help="do not open a browser")


def list_and_show(command: Command) -> None:
    listing = command(
        "list",
        "explorer.cli.show:run_list",
        "list nets, trained nets, data sets and recipes",
        "The nets are rows of the papers' tables; patterns such as plain_N stand for any depth.",
        """\
  skipscope list
  skipscope list --json""",
    )
    options.json(listing)
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
    options.net(show)
    options.data(show, "shape the net for this data")
    how = show.add_mutually_exclusive_group()
    options.json(how)
    how.add_argument("--dot", action="store_true", help="the block graph as Graphviz source")
    how.add_argument("--svg", action="store_true", help="the block graph as SVG")
    how.add_argument(
        "--picture",
        type=values.path,
        metavar="FILE",
        help="draw the Graphviz source into a .png, .svg or .pdf file, by Graphviz's `dot`",
    )
    show.add_argument("--against", metavar="NAME", help="another net: say what differs")
    show.add_argument("--open", metavar="UNIT", help="draw this unit layer by layer")
    show.add_argument(
        "--left-right", action="store_true", help="draw from left to right, not top-down"
    )


def claims(command: Command) -> None:
    claims = command(
        "claims",
        "explorer.cli.claims:run_claims",
        "list what the pages say of papers and of nets, with its source and what bears it",
        "Each sentence with its source; where something was measured, what is expected, under\n"
        "which conditions, and by which function. --check measures it again (all of them: a few\n"
        "minutes) and fails where one does not hold.",
        """\
  skipscope claims
  skipscope claims lesions.residual lesions.plain --check
  skipscope claims --check --json""",
    )
    claims.add_argument("keys", nargs="*", metavar="KEY", help="rows by key (default: all)")
    claims.add_argument("--check", action="store_true", help="measure again")
    options.json(claims)


def reproduce(command: Command) -> None:
    reproduce = command(
        "reproduce",
        "explorer.cli.reproduce:run_reproduce",
        "show the papers' numbers beside ours, or measure ours again",
        "Of each figure and table of the papers: its numbers, what was measured here, and a mark:\n"
        "reproduced (same protocol), reproduced smaller (it says what is), or not attempted (it\n"
        "says why). --measure trains and measures again on one core, and keeps the result in the\n"
        "program; trained nets are kept in Skipscope's folder, so that it goes on where it ended,\n"
        "and Ctrl-C keeps a comparison of the nets that are done.",
        """\
  skipscope reproduce
  skipscope reproduce veit16_fig3 he15_table6
  skipscope reproduce Veit16                           all of a paper
  skipscope reproduce sgs15_fig4 --measure
  skipscope reproduce --html gallery                   static pages: open gallery/index.html
  skipscope reproduce veit16_fig3 --html fig3.html     one file""",
    )
    reproduce.add_argument(
        "figures", nargs="*", metavar="FIGURE", help="figures, or papers, by name (default: all)"
    )
    reproduce.add_argument(
        "--measure", action="store_true", help="measure again: seconds to an hour a figure"
    )
    reproduce.add_argument(
        "--seeds",
        type=values.whole,
        metavar="N",
        help="with --measure: at most N trainings of each net (default: as many as the figure has)",
    )
    how = reproduce.add_mutually_exclusive_group()
    options.json(how)
    how.add_argument(
        "--html",
        type=values.path,
        metavar="FILE_OR_FOLDER",
        help="interactive figures as one file (.html), or as static pages in a folder",
    )


def export(command: Command) -> None:
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
    options.net(export)
    options.data(export, "shape the net for this data")
    export.add_argument(
        "--weights",
        type=values.path,
        metavar="FILE",
        help="lay these weights beside it, as .safetensors",
    )
    export.add_argument("--class-name", metavar="NAME", help="the net's class (default: its title)")
    export.add_argument("--out", type=values.path, metavar="FILE.py", help="default: the terminal")


def importing(command: Command) -> None:
    importing = command(
        "import",
        "explorer.cli.importing:run_import",
        "write anyone's checkpoint as weights with a card",
        "Of the file tensors alone are read, whatever its name and however it is wrapped. Which\n"
        "net it is of is told from the shapes, and where these fit several, on images of --data.\n"
        "With --data the accuracy is measured, too, and written into the card.",
        """\
  skipscope import resnet56.th --data FOLDER --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
  skipscope import checkpoint.pth.tar --as 'resnet_v1_20;shortcut_pad=both' --out my.safetensors""",
    )
    importing.add_argument("file", type=values.path, metavar="FILE", help=WEIGHTS_KINDS)
    importing.add_argument(
        "--as",
        dest="net",
        metavar="NAME",
        help="the net that it is of (default: told from the shapes)",
    )
    importing.add_argument(
        "--names",
        type=values.path,
        metavar="TABLE.json",
        help="the file's names of tensors or their beginnings, and the net's: a JSON object, with "
        "* for a number (needs --as; a last resort)",
    )
    options.data(importing, "measure the accuracy on its test images")
    options.belongs(importing)
    importing.add_argument("--origin", metavar="TEXT", help="where the weights come from")
    importing.add_argument("--licence", metavar="TEXT", help="under which licence")
    importing.add_argument(
        "--out",
        type=values.path,
        metavar="FILE.safetensors",
        help="default: FILE's name, in this folder",
    )
    options.json(importing)
