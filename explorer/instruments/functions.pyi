"""Made by ``python -m explorer.instruments.doors.python``; a test compares."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.instruments.accuracy.result import Accuracy
from explorer.instruments.activations.result import ActivationMaps
from explorer.instruments.amplifier.result import WorkedExample
from explorer.instruments.attribution.result import Attribution
from explorer.instruments.branches.result import BranchResponses
from explorer.instruments.by_hand.result import ProgramAnswers
from explorer.instruments.classifier_by_unit.result import ClassifierByUnit
from explorer.instruments.conductance.result import UnitConductance
from explorer.instruments.estimation_error.result import EstimationError
from explorer.instruments.gate_image.result import GateImage
from explorer.instruments.gate_lesions.result import GateLesions
from explorer.instruments.gate_maps.result import GateMaps
from explorer.instruments.gates.result import GateMeans
from explorer.instruments.gradient_terms.result import GradientTerms
from explorer.instruments.gradients.result import LayerGradients
from explorer.instruments.gradients_at_init.result import GradientsAtInit
from explorer.instruments.history.result import LayerHistory
from explorer.instruments.lesions.result import LesionCurve
from explorer.instruments.path_counts.result import PathCounts
from explorer.instruments.paths.result import PathGradients
from explorer.instruments.propagation.result import Propagation
from explorer.instruments.random_lesions.result import LesionBand
from explorer.instruments.responses.result import LayerResponses
from explorer.instruments.reuse.result import FeatureReuse
from explorer.instruments.sensitivity.result import Sensitivity
from explorer.instruments.shattering.result import Shattering
from explorer.instruments.shortcut_scaling.result import ShortcutScaling
from explorer.instruments.shuffle_lesions.result import ShuffleLesions
from explorer.instruments.stage_lesions.result import StageLesions
from explorer.instruments.surface.result import LossSurface
from explorer.instruments.swap_lesions.result import SwapLesions
from explorer.instruments.unravelled.result import UnravelledView
from explorer.instruments.vanishing.result import VanishingCauses
from explorer.nets import Net
from explorer.structure.specs import DataSpec, NetSpec

AnyNet = Net | NetSpec | str
Data = str | Path | DataSpec | Dataset
Image = int | str | Path | Tensor

def accuracy(
    net: AnyNet,
    data: Data = 'digits',
    *,
    n_images: int | None = None,
    train: bool = False,
    name: str | None = None,
    on_progress: Callable[[Accuracy, float], None] | None = None,
) -> Accuracy:
    """Measure how often a net is right, over all and class by class.

    Plain accuracy of the intact net in evaluation mode: how often its first answer is right, how
    often the right one is among its first five, and the same for each class, each with
    its 95 % interval (Wilson's). What a checkpoint's maker published is held against this.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        n_images: Measure only so many images, each class in its share (at least 1).
        train: Measure on training images, which shows what a net has learned of them.
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def activations(
    net: AnyNet,
    data: Data = 'digits',
    image: Image = 0,
    *,
    units: tuple[str | int, ...] | None = None,
    part: Literal['output', 'branch', 'shortcut'] = 'output',
    channels: Literal['strongest', 'first'] = 'strongest',
    k: int = 16,
    deleted: tuple[str | int, ...] = (),
    name: str | None = None,
    on_progress: Callable[[ActivationMaps, float], None] | None = None,
) -> ActivationMaps:
    """Show the maps of units for one image.

    The strongest maps of each stage's last unit, or of units of your choice: their output, or
    what their own layers add (branch) to what passes them by (shortcut).

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        image: A test image by its index, a picture file, or uint8 (C, H, W).
        units: Units to show, separated by commas; else the last of each stage.
        part: Maps of what blocks give on, of what their own layers add, or of what passes them by.
        channels: Channels of the greatest mean magnitude, or the first ones.
        k: Number of channels of each unit (1 to 256).
        deleted: Units to leave out, by name or index.
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def amplifier(
    *,
    x: float = 5.0,
    before: float = 5.1,
    after: float = 5.2,
    on_progress: Callable[[WorkedExample, float], None] | None = None,
) -> WorkedExample:
    """Work out how much louder a change is for F than for a plain map, with three numbers.

    A block maps one number to another, and is then asked for a third. Neither a net nor images are
    needed: it is arithmetic.

    Args:
        x: Number that the block is given (-1000000 to 1000000).
        before: Number that the block maps x to (-1000000 to 1000000).
        after: Number that the block is to map x to instead (-1000000 to 1000000).
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def attribution(
    net: AnyNet,
    data: Data = 'digits',
    image: Image = 0,
    *,
    method: Literal['integrated_gradients', 'grad_cam', 'occlusion', 'saliency'] = 'integrated_gradients',
    unit: str | int | None = None,
    target: str | int = 'predicted',
    baseline: Literal['black', 'white', 'mean'] = 'black',
    steps: int | None = None,
    window: int | None = None,
    deleted: tuple[str | int, ...] = (),
    name: str | None = None,
    on_progress: Callable[[Attribution, float], None] | None = None,
) -> Attribution:
    """Show which pixels carried a decision.

    What is explained is the logit f of one class. saliency: |∂f/∂x|. integrated_gradients: adds
    up to f(x) − f(x′), x′ an image of no evidence. grad_cam: weighted maps of a unit. occlusion:
    what f loses under a window. Which units carried it: conductance.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        image: A test image by its index, a picture file, or uint8 (C, H, W).
        method: Way in which evidence is measured.
        unit: Unit at whose output grad_cam looks; else the last that has maps.
        target: Class whose logit is explained, by name or number, predicted or true.
        baseline: Colour of the image that stands for no evidence.
        steps: Number of steps of the integrals; else it is doubled until they add up (1 to 4096).
        window: Side in pixels of the window of occlusion (at least 1).
        deleted: Units to leave out, by name or index.
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def branches(
    net: AnyNet,
    data: Data = 'digits',
    *,
    n_images: int = 256,
    name: str | None = None,
    on_progress: Callable[[BranchResponses, float], None] | None = None,
) -> BranchResponses:
    """Measure how much each unit adds to its input, and which way.

    The size of each unit's F against its input, its direction against the loss gradient
    (Jastrzebski et al. 2018), and what the ReLU after an addition cuts (He et al. 2016, 4.2).

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        n_images: Number of images, each class in its share (at least 1).
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def by_hand(
    net: AnyNet,
    data: Data = 'digits',
    *,
    hand: str | None = None,
    program: tuple[str, ...] | None = None,
    n_images: int | None = None,
    name: str | None = None,
    on_progress: Callable[[ProgramAnswers, float], None] | None = None,
) -> ProgramAnswers:
    """Delete or move any blocks of a net and see which answers change.

    The accuracy of each class, intact and so, and a few of the images whose answer is another one.
    A block that is left out is passed by; blocks of one shape can change places.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        hand: Blocks to delete or move in each net; nets and blocks are counted from 0: NET:-BLOCK deletes one, NET:PLACE_BLOCK lets one stand in another's place, as in 0:-3.-12|1:5_9.9_5.
        program: Blocks that act, by name, in this order; the others are deleted.
        n_images: Measure only so many images, each class in its share (at least 1).
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def classifier_by_unit(
    net: AnyNet,
    data: Data = 'digits',
    *,
    n_images: int | None = None,
    name: str | None = None,
    on_progress: Callable[[ClassifierByUnit, float], None] | None = None,
) -> ClassifierByUnit:
    """Measure the accuracy of the classifier applied after every unit of the last stage.

    The head is applied as it is, its own batch norm and activation included (Jastrzebski et al.
    2018).

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        n_images: Measure only so many images, each class in its share (at least 1).
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def conductance(
    net: AnyNet,
    data: Data = 'digits',
    image: Image = 0,
    *,
    target: str | int = 'predicted',
    baseline: Literal['black', 'white', 'mean'] = 'black',
    steps: int | None = None,
    deleted: tuple[str | int, ...] = (),
    name: str | None = None,
    on_progress: Callable[[UnitConductance, float], None] | None = None,
) -> UnitConductance:
    """Show which units carried a decision.

    How much of f(x) − f(x′) flows through each unit's own layers, and how much passes it by
    (Dhamdhere et al. 2018): f is the logit of one class, x′ an image of no evidence. In a plain
    net all of it goes through every unit.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        image: A test image by its index, a picture file, or uint8 (C, H, W).
        target: Class whose logit is explained, by name or number, predicted or true.
        baseline: Colour of the image that stands for no evidence.
        steps: Number of steps of the integrals; else it is doubled until they add up (1 to 4096).
        deleted: Units to leave out, by name or index.
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def estimation_error(
    net: AnyNet,
    data: Data = 'digits',
    *,
    n_images: int = 256,
    name: str | None = None,
    on_progress: Callable[[EstimationError, float], None] | None = None,
) -> EstimationError:
    """Measure each unit's output against the end of its stage.

    Mean and spread of the output less that of the stage's last unit, beside the root mean square
    of that (Greff et al. 2017).

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        n_images: Number of images, each class in its share (at least 1).
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def gate_image(
    net: AnyNet,
    data: Data = 'digits',
    image: Image = 0,
    *,
    of_channel: int | None = None,
    name: str | None = None,
    on_progress: Callable[[GateImage, float], None] | None = None,
) -> GateImage:
    """Show where on one image the gates of a convolutional net are open.

    A map for every unit: its gate at each place of its maps, of one channel or the mean over all.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        image: A test image by its index, a picture file, or uint8 (C, H, W).
        of_channel: Channel of each gate that is shown, counted from 0; else the mean over all of them (at least 0).
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def gate_lesions(
    net: AnyNet,
    data: Data = 'digits',
    *,
    values: tuple[float | Literal['mean'], ...] = (0.0, 1.0, 'mean', 0.5),
    n_images: int | None = None,
    train: bool = False,
    recalibrate: bool = False,
    recalibrate_on: int = 512,
    precision: Literal['float32', 'bfloat16'] = 'float32',
    name: str | None = None,
    on_progress: Callable[[GateLesions, float], None] | None = None,
) -> GateLesions:
    """Hold the gate of each unit at a value, then of all units, and measure the accuracy.

    Instead of looking at its input, the gate of a highway unit, or of a gated shortcut (He et al.
    2016, 3.1), is a number, or at its mean: each entry of the gate at its mean over training images
    of the intact net. At 0 a highway unit is deleted (Srivastava et al. 2015, Fig 4), at 1 it is a
    plain layer.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        values: Values at which gates are held: numbers from 0 to 1, or mean.
        n_images: Measure only so many images, each class in its share (at least 1).
        train: Measure the accuracy on training images, which shows what a net has learned of them, as SGS15 does; that on test images shows what carries over.
        recalibrate: Measure batch norm's statistics anew for each lesion, on training images; nothing is learned, and it takes longer.
        recalibrate_on: Number of training images on which batch norm's statistics are measured anew (16 to 10000).
        precision: Precision of the arithmetic, of which bfloat16 is for a quick look.
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def gate_maps(
    net: AnyNet,
    data: Data = 'digits',
    image: Image = 0,
    *,
    n_images: int | None = None,
    of_class: str | int | None = None,
    train: bool = False,
    name: str | None = None,
    on_progress: Callable[[GateMaps, float], None] | None = None,
) -> GateMaps:
    """Measure each gate by itself: biases, means, one image, one class.

    Tables of block × unit (of channels, in convolutional nets): biases before and after training,
    mean gates, the gates and the outputs of the blocks for one image (Srivastava et al. 2015,
    Fig 2), and with --class the mean over a class less the mean over all (Fig 3).

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        image: A test image by its index, a picture file, or uint8 (C, H, W).
        n_images: Take means over only so many images, each class in its share (at least 1).
        of_class: Class whose mean is told less the mean over all, by name or number.
        train: Take means over training images, not test images.
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def gates(
    net: AnyNet,
    data: Data = 'digits',
    *,
    n_images: int = 1000,
    name: str | None = None,
    on_progress: Callable[[GateMeans, float], None] | None = None,
) -> GateMeans:
    """Measure the gates of a highway net, or of gated shortcuts.

    Mean, standard deviation and quantiles of each unit's gate T(x) over test images and entries
    (Srivastava et al. 2015, Fig 2): near 0 a unit carries its input on, near 1 it replaces it. Of
    a residual net with gated shortcuts (He et al. 2016, 3.1) the gates g(x) of these, which pass
    on 1 − g.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        n_images: Number of images, each class in its share (at least 1).
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def gradient_terms(
    net: AnyNet,
    data: Data = 'digits',
    *,
    n_images: int = 128,
    name: str | None = None,
    on_progress: Callable[[GradientTerms, float], None] | None = None,
) -> GradientTerms:
    """Measure what of the gradient comes by the shortcuts alone, and what by the branches.

    The two terms of He et al. 2016, Eq 5, at every unit's input, on one batch of training images.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        n_images: Number of training images, each class in its share (at least 1).
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def gradients(
    net: AnyNet,
    data: Data = 'digits',
    *,
    n_images: int = 256,
    name: str | None = None,
    on_progress: Callable[[LayerGradients, float], None] | None = None,
) -> LayerGradients:
    """Measure the gradient's magnitude layer by layer.

    Root mean square of the loss gradient over each layer's weights, and over each unit's output,
    on one batch of training images.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        n_images: Number of training images, each class in its share (at least 1).
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def gradients_at_init(
    data: Data = 'digits',
    *,
    nets: tuple[str, ...] = ('plain_20', 'resnet_v2_20', 'highway_19', 'densenet_40_k12'),
    depths: tuple[int, ...] = (8, 20, 32, 44, 56),
    batch_norm: Literal['both', 'with', 'without'] = 'both',
    padding: Literal['circular', 'zeros'] = 'circular',
    seeds: int = 3,
    seed: int = 7,
    n_images: int = 64,
    on_progress: Callable[[GradientsAtInit, float], None] | None = None,
) -> GradientsAtInit:
    """Measure gradients of fresh nets against depth.

    Of each family, with and without batch norm, from several seeds: the first layer's gradient on
    one batch of training images, before any training. The default, 120 nets, takes one core about
    half a minute on digits.

    Args:
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        nets: Names or tokens of nets, whose depth is replaced.
        depths: Depths, in layers; of each family the nearest that it has (2 to 1300).
        batch_norm: Nets with batch norm, without it, or both.
        padding: Padding of convolutions, where a net's name does not say it. Circular: at a map's edges they find the other side, so that nothing is lost there; zeros, the usual choice, hide what depth does on small maps.
        seeds: Number of nets of each, from seeds that follow the first (1 to 100).
        seed: Seed of the first net of each, which those of the others follow (0 to 2147483647).
        n_images: Number of training images, each class in its share (at least 1).
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def history(
    training: str | Path,
    lane: int = 1,
    *,
    of: Literal['parameters', 'outputs', 'responses', 'gates'] = 'parameters',
) -> LayerHistory:
    """Show what happened in every layer while a net trained.

    Layer by step, from a training's folder or of a trained net's training: gradients of the weights
    or of block outputs, layers' responses, or gates.

    Args:
        training: The folder of `skipscope train --out`, with what was recorded.
        lane: Which of its nets, from 1.
        of: Quantity that the figure shows.

    Raises:
        SkipscopeError: One sentence.
    """

def lesions(
    net: AnyNet,
    data: Data = 'digits',
    *,
    n_images: int | None = None,
    train: bool = False,
    recalibrate: bool = False,
    recalibrate_on: int = 512,
    precision: Literal['float32', 'bfloat16'] = 'float32',
    name: str | None = None,
    on_progress: Callable[[LesionCurve, float], None] | None = None,
) -> LesionCurve:
    """Delete each unit of a net in turn and measure the accuracy.

    Deleting leaves what goes round the unit: the shortcut of a residual unit, the carried input of
    a highway unit, the earlier features of a dense unit; of a plain unit that keeps the shape its
    input (Veit et al. 2016, Fig 3; Srivastava et al. 2015, Fig 4).

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        n_images: Measure only so many images, each class in its share (at least 1).
        train: Measure the accuracy on training images, which shows what a net has learned of them, as SGS15 does; that on test images shows what carries over.
        recalibrate: Measure batch norm's statistics anew for each lesion, on training images; nothing is learned, and it takes longer.
        recalibrate_on: Number of training images on which batch norm's statistics are measured anew (16 to 10000).
        precision: Precision of the arithmetic, of which bfloat16 is for a quick look.
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def path_counts(
    net: AnyNet,
    *,
    name: str | None = None,
) -> PathCounts:
    """Count a net's paths by their length, beside nets that are deeper and wider.

    A net of n residual, highway or dense units has 2^n paths, C(n, k) of them through k branches
    (Veit et al. 2016). It is counted from the structure: neither weights nor images matter.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        name: What the result calls the net; None takes its token.

    Raises:
        SkipscopeError: One sentence.
    """

def paths(
    net: AnyNet,
    data: Data = 'digits',
    *,
    n_images: int = 64,
    draws: int = 4,
    longest: int | None = None,
    seed: int = 7,
    name: str | None = None,
    on_progress: Callable[[PathGradients, float], None] | None = None,
) -> PathGradients:
    """Measure which paths through a net carry the gradient.

    A net of n residual, highway or dense units has 2^n paths; a path's length is how many branches
    it takes (Veit et al. 2016). Three curves by length: the exact sum of all paths of a length
    (coherent), the root of their summed squares (incoherent), and the paper's C(n, k) times the
    mean norm of sampled paths. How many paths there are is `skipscope path_counts`; what switching
    them off does, `skipscope unravelled`.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        n_images: Number of images, each class in its share (at least 1).
        draws: Number of random paths of every length, and of random signs, for every image; 0 for the exact curve alone (0 to 100).
        longest: Greatest length that is measured, from 0 on, which is quicker than all (at least 1).
        seed: Seed of the draws (0 to 2147483647).
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def propagation(
    net: AnyNet,
    data: Data = 'digits',
    *,
    start: Literal['fresh', 'own'] = 'fresh',
    seeds: int = 5,
    seed: int = 7,
    n_images: int = 64,
    name: str | None = None,
    on_progress: Callable[[Propagation, float], None] | None = None,
) -> Propagation:
    """Measure signal and gradient from the image to the last unit, at initialisation.

    Variance of every unit's output, and the loss gradient there, over some fresh nets.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        start: Weights of the nets that are measured. Fresh nets have the same structure and other initial weights; the band reaches from the least to the greatest. Another library's net keeps its own.
        seeds: Number of nets of each, from seeds that follow the first (1 to 100).
        seed: Seed of the first net of each, which those of the others follow (0 to 2147483647).
        n_images: Number of training images, each class in its share (at least 1).
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def random_lesions(
    net: AnyNet,
    data: Data = 'digits',
    *,
    k: int = 20,
    trials: int = 10,
    seed: int = 7,
    n_images: int | None = None,
    train: bool = False,
    recalibrate: bool = False,
    recalibrate_on: int = 512,
    precision: Literal['float32', 'bfloat16'] = 'float32',
    name: str | None = None,
    on_progress: Callable[[LesionBand, float], None] | None = None,
) -> LesionBand:
    """Delete 1, 2, … k units of a net at random and measure the accuracy.

    Each draw is one random order of the units that can be deleted; its first, its first two, and so
    on are deleted (Veit et al. 2016, Fig 5a).

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        k: Greatest number of blocks deleted; all of them where a net has fewer (1 to 1000).
        trials: Number of draws of the order in which blocks go (1 to 1000).
        seed: Seed of the draws (0 to 2147483647).
        n_images: Measure only so many images, each class in its share (at least 1).
        train: Measure the accuracy on training images, which shows what a net has learned of them, as SGS15 does; that on test images shows what carries over.
        recalibrate: Measure batch norm's statistics anew for each lesion, on training images; nothing is learned, and it takes longer.
        recalibrate_on: Number of training images on which batch norm's statistics are measured anew (16 to 10000).
        precision: Precision of the arithmetic, of which bfloat16 is for a quick look.
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def responses(
    net: AnyNet,
    data: Data = 'digits',
    *,
    n_images: int = 1000,
    name: str | None = None,
    on_progress: Callable[[LayerResponses, float], None] | None = None,
) -> LayerResponses:
    """Measure how strongly each layer answers.

    Standard deviation of each layer's response over test images and entries (He et al. 2015,
    Fig 7): of its output after its batch norm, before activation and addition.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        n_images: Number of images, each class in its share (at least 1).
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def reuse(
    net: AnyNet,
    *,
    scaled: bool = False,
    name: str | None = None,
) -> FeatureReuse:
    """Show how strongly the layers of a dense net use each earlier one.

    Mean absolute weight from every source of a block (its input, then its layers) to every layer
    that sees it, the transition or classifier last (Huang et al. 2016, Fig 5). Read from the
    weights alone: no images are needed.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        scaled: Count each weight times the scale |γ| of the batch norm before it.
        name: What the result calls the net; None takes its token.

    Raises:
        SkipscopeError: One sentence.
    """

def sensitivity(
    net: AnyNet,
    data: Data = 'digits',
    *,
    n_images: int = 200,
    nudge: float = 0.02,
    seed: int = 7,
    name: str | None = None,
    on_progress: Callable[[Sensitivity, float], None] | None = None,
) -> Sensitivity:
    """Show how much louder a change is for a residual branch than for a plain map.

    In a net: ‖H‖ / ‖F‖, unit by unit, where H = shortcut + F is the unit's output; and by which
    share F and H move where the unit's input does. Without a net: the worked example, which is also
    `skipscope amplifier`.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        n_images: Number of images, each class in its share (at least 1).
        nudge: Share of itself by which each unit's input moves in a random direction, ‖Δx‖ / ‖x‖ (0.0001 to 1).
        seed: Seed of the directions in which inputs move (0 to 2147483647).
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def shattering(
    *,
    families: tuple[Literal['plain', 'residual', 'highway'], ...] = ('plain', 'residual', 'highway'),
    depths: tuple[int, ...] = (2, 4, 10, 24, 50),
    batch_norm: bool = True,
    beta: float = 1.0,
    seeds: int = 10,
    transform_bias: float = -2.0,
    width: int = 200,
    points: int = 256,
    seed: int = 7,
    on_progress: Callable[[Shattering, float], None] | None = None,
) -> Shattering:
    """Measure how gradients shatter with depth, in small untrained nets.

    Nets of one input and one output: how alike dy/dx is at two inputs. No data, no loss; a second
    or two for each family.

    Args:
        families: Families of nets.
        depths: Numbers of layers after the first (1 to 100).
        batch_norm: Give the nets batch norm.
        beta: Factor on F of residual nets (0 to 1).
        seeds: Number of nets of each, from seeds that follow the first (1 to 100).
        transform_bias: Bias of the gates of highway nets (-20 to 20).
        width: Number of units of each layer (1 to 1024).
        points: Number of inputs, from −2 to 2 (4 to 4096).
        seed: Seed of the first net of each, which those of the others follow (0 to 2147483647).
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def shortcut_scaling(
    net: AnyNet,
    data: Data = 'digits',
    *,
    scale: float = 0.9,
    scales: tuple[float, ...] = (0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2),
    n_images: int = 64,
    seed: int = 7,
    name: str | None = None,
    on_progress: Callable[[ShortcutScaling, float], None] | None = None,
) -> ShortcutScaling:
    """Measure the gradient with every shortcut λ·x.

    The net is built anew, untrained, with each λ: λ^L, by which He et al. 2016, Eq 8, say the
    direct term shrinks over L units, beside what is measured.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        scale: Factor λ that is measured first, and marked in the figure (0 to 2).
        scales: Factors λ that are measured after the first (0 to 2).
        n_images: Number of training images, each class in its share (at least 1).
        seed: Seed of the weights, the same with every λ (0 to 2147483647).
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def shuffle_lesions(
    net: AnyNet,
    data: Data = 'digits',
    *,
    moves: Literal['pairs', 'neighbours'] = 'pairs',
    points: int = 12,
    trials: int = 8,
    seed: int = 7,
    n_images: int | None = None,
    train: bool = False,
    recalibrate: bool = False,
    recalibrate_on: int = 512,
    precision: Literal['float32', 'bfloat16'] = 'float32',
    name: str | None = None,
    on_progress: Callable[[ShuffleLesions, float], None] | None = None,
) -> ShuffleLesions:
    """Reorder units of one shape more and more and measure the accuracy.

    Each walk leads away from the intact order by changes of place drawn at random, and is measured
    at some points spread evenly over the range of Kendall's τ (Veit et al. 2016, Fig 5b). With
    pairs, any two units of one shape change places, as in the paper, down to the disorder of a
    random order; with neighbours, two neighbours that still stand in order, down to the reversed
    order.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        moves: Blocks that change places in a step of a walk.
        points: Number of orders of each walk (1 to 100).
        trials: Number of walks away from the order (1 to 1000).
        seed: Seed of the walks (0 to 2147483647).
        n_images: Measure only so many images, each class in its share (at least 1).
        train: Measure the accuracy on training images, which shows what a net has learned of them, as SGS15 does; that on test images shows what carries over.
        recalibrate: Measure batch norm's statistics anew for each lesion, on training images; nothing is learned, and it takes longer.
        recalibrate_on: Number of training images on which batch norm's statistics are measured anew (16 to 10000).
        precision: Precision of the arithmetic, of which bfloat16 is for a quick look.
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def stage_lesions(
    net: AnyNet,
    data: Data = 'digits',
    *,
    n_images: int | None = None,
    train: bool = False,
    recalibrate: bool = False,
    recalibrate_on: int = 512,
    precision: Literal['float32', 'bfloat16'] = 'float32',
    name: str | None = None,
    on_progress: Callable[[StageLesions, float], None] | None = None,
) -> StageLesions:
    """Delete all units of a stage that can be deleted, stage by stage, and measure the accuracy.

    What changes the shape and has no shortcut must stay, and the result names it.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        n_images: Measure only so many images, each class in its share (at least 1).
        train: Measure the accuracy on training images, which shows what a net has learned of them, as SGS15 does; that on test images shows what carries over.
        recalibrate: Measure batch norm's statistics anew for each lesion, on training images; nothing is learned, and it takes longer.
        recalibrate_on: Number of training images on which batch norm's statistics are measured anew (16 to 10000).
        precision: Precision of the arithmetic, of which bfloat16 is for a quick look.
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def surface(
    net: AnyNet,
    data: Data = 'digits',
    *,
    n_images: int = 128,
    resolution: int = 17,
    span: float = 1.0,
    line: bool = False,
    norm: Literal['running', 'batch'] = 'running',
    direction: int = 0,
    known: LossSurface | None = None,
    name: str | None = None,
    on_progress: Callable[[LossSurface, float], None] | None = None,
) -> LossSurface:
    """Measure the loss around the weights.

    Loss at θ + α·δ + β·η: δ and η are random, filter by filter as long as the weights θ (Li et al.
    2018). Biases and batch norms stay. Points come from coarse to fine, and what was measured can
    be gone on from, also at a finer resolution.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        n_images: Number of images, each class in its share (at least 1).
        resolution: Number of points along each axis; an odd one has the weights themselves in the middle (3 to 101).
        span: Reach of each axis, from −SPAN to SPAN, in lengths of the weights (0.01 to 100).
        line: Measure along the first direction alone, which is quicker.
        norm: Statistics by which batch norm normalises. Running: what it has, as in Li18; of an untrained net they are those of these images at θ; or those of the batch, at each point anew.
        direction: Seed of the two directions (0 to 2147483647).
        known: What an earlier call gave of the same, complete or not: it is gone on from.
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def swap_lesions(
    net: AnyNet,
    data: Data = 'digits',
    *,
    stage: int | None = None,
    n_images: int | None = None,
    train: bool = False,
    recalibrate: bool = False,
    recalibrate_on: int = 512,
    precision: Literal['float32', 'bfloat16'] = 'float32',
    name: str | None = None,
    on_progress: Callable[[SwapLesions, float], None] | None = None,
) -> SwapLesions:
    """Swap every two units of one shape in turn and measure the accuracy.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        stage: Swap units of this stage alone, counted from 1 (at least 1).
        n_images: Measure only so many images, each class in its share (at least 1).
        train: Measure the accuracy on training images, which shows what a net has learned of them, as SGS15 does; that on test images shows what carries over.
        recalibrate: Measure batch norm's statistics anew for each lesion, on training images; nothing is learned, and it takes longer.
        recalibrate_on: Number of training images on which batch norm's statistics are measured anew (16 to 10000).
        precision: Precision of the arithmetic, of which bfloat16 is for a quick look.
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def unravelled(
    net: AnyNet,
    data: Data = 'digits',
    *,
    n_images: int | None = None,
    which: Literal['stages', 'start', 'end'] = 'stages',
    units: tuple[str, ...] | None = None,
    off: tuple[str, ...] = (),
    name: str | None = None,
    on_progress: Callable[[UnravelledView, float], None] | None = None,
) -> UnravelledView:
    """Switch paths through a few units off, and measure what the answer loses.

    Up to four units are written out to all their paths (Veit et al. 2016, Fig 1). A path has a
    digit for each of them, 1 where it goes through the unit's branch and 0 where it goes by: 010
    goes through the second of three branches alone.

    Args:
        net: The net; it is measured on its own device, and stays as it is. A name or a spec is that net, trained where weights of it come with the program, else fresh.
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        n_images: Measure only so many images, each class in its share (at least 1).
        which: Blocks whose paths are shown; nets of up to four blocks are shown whole.
        units: Units whose paths are shown, one to four by name, instead of those chosen by place.
        off: Paths that are switched off, by their digits, such as 010,110.
        name: What the result calls the net; None takes its token.
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

def vanishing(
    data: Data = 'digits',
    *,
    layers: Literal['conv', 'fc'] = 'conv',
    gain: float = 0.8,
    order: Literal['full_preact', 'original'] = 'full_preact',
    depths: tuple[int, ...] = (8, 20, 32, 56),
    width: int | None = None,
    seeds: int = 3,
    seed: int = 7,
    n_images: int = 32,
    on_progress: Callable[[VanishingCauses, float], None] | None = None,
) -> VanishingCauses:
    """Separate the causes of vanishing gradients: activation, weight scale, padding.

    The first layer's gradient of fresh nets against depth. All start from ReLUs, He's rule and
    circular padding, which lose nothing; each other curve has one thing changed: tanh, sigmoid,
    smaller weights, zeros at the edges. With and without shortcuts and batch norm, several seeds,
    beside what is derived for infinitely wide nets. 240 nets: about 20 s on one core; fully
    connected ones 8.

    Args:
        data: A data set by name (``"digits"``), a folder, a spec, or a loaded one.
        layers: Kind of layers; fully connected ones have no padding. The first figure is there after about 8 s on one core, all three seeds after 20; fully connected in a third of that.
        gain: Factor on the standard deviation of the initial weights, where that is the cause (0.01 to 10).
        order: Order of layers in convolutional nets with shortcuts.
        depths: Depths, in layers; the nearest possible ones are taken (2 to 1300).
        width: Number of filters of the first stage, or of units of a layer; else 16, or 71 of fully connected nets (1 to 2048).
        seeds: Number of nets of each, from seeds that follow the first (1 to 100).
        seed: Seed of the first net of each, which those of the others follow (0 to 2147483647).
        n_images: Number of training images, each class in its share (at least 1).
        on_progress: Told partial results, and the share of the whole that is done, in [0, 1].

    Raises:
        SkipscopeError: One sentence.
    """

activation_maps = activations
answers = by_hand
at_init = gradients_at_init
attribute = attribution
branch_responses = branches
classifier = classifier_by_unit
estimation = estimation_error
evaluate = accuracy
feature_reuse = reuse
gate_distribution = gates
gate_means = gates
held_gates = gate_lesions
layer_gradients = gradients
layer_responses = responses
lesion_band = random_lesions
lesion_curve = lesions
loss_surface = surface
path_gradients = paths
scaling = shortcut_scaling
several = random_lesions
shattered_gradients = shattering
shuffle = shuffle_lesions
stages = stage_lesions
swap = swap_lesions
terms = gradient_terms
unit_conductance = conductance
unravelled_view = unravelled
vanishing_causes = vanishing
