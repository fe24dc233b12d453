"""What layers, branches and features do."""

from __future__ import annotations

from explorer.claims.contract import HERE, Claim

ROWS = (
    Claim(
        key="he15.fig7",
        says="He et al. 2015, Fig 7: on CIFAR-10 ResNets had generally smaller responses than "
        "plain nets, and deeper ResNets smaller ones still.",
        source="He15 Fig 7",
        conditions="CIFAR-10; plain and residual nets (v1) of 20 to 110 layers",
    ),
    Claim(
        key="he15.fig7_order",
        says="Theirs are of the original order (v1), where every convolution is followed by a "
        "batch norm.",
        source="He15 §3.4 and Fig 7",
    ),
    Claim(
        key="responses.fresh",
        says="A batch norm's response is as large as its scale, which starts at 1: in untrained "
        "nets of the original order, and in plain ones, every point is at 1.",
        source=HERE,
        bears="responses:ends_of_fresh",
        given={"nets": ("resnet_v1_20", "plain_20", "plain_56")},
        holds=(0.97, 1.03),
        unit="sd of a layer's response, least and greatest",
        conditions="untrained, normalised by the batch, all test images of digits, seeds 7, 11, 12",
    ),
    Claim(
        key="responses.short",
        says="The nets that ship for the digits do not show it: they trained for a few hundred "
        "steps, after which the median response is within a tenth of 1 in plain and residual ones "
        "alike.",
        source=HERE,
        bears="responses:medians",
        given={"families": ("plain", "residual")},
        holds=(0.9, 1.1),
        unit="median sd of the layers' responses, net by net",
        conditions="plain and residual nets that ship for the digits, but those meant to fail; all "
        "test images",
    ),
    Claim(
        key="estimation.untrained",
        says="But in untrained residual nets the band narrows from block to block, too, because "
        "each output is a part of the sum that the stage ends with: that alone is no refinement.",
        source=HERE,
        bears="responses:narrowing_of_fresh",
        given={"nets": ("resnet_v2_20", "resnet_v1_20")},
        holds=(1.0, 1.0),
        unit="share of stages in which the spread shrinks at every block",
        conditions="untrained, normalised by the batch, 256 test images of digits, seeds 7, 11, 12",
    ),
    Claim(
        key="reuse.shipped",
        says="The dense net that ships with the program has trained too briefly for that: a source "
        "in the middle still has about as much weight as its layer's strongest one, as it had "
        "before training.",
        source=HERE,
        bears="responses:reuse_medians",
        given={"family": "dense"},
        holds=(93.0, 100.0),
        unit="% of the mean weight of the strongest source, median: trained, untrained",
        conditions="dense nets that ship with the program; the same nets at their first step",
    ),
    Claim(
        key="he16.relu_cuts",
        says="He et al. 2016, section 4.2: a ReLU after the addition lets no negative signal pass.",
        source="He16 §4.2",
    ),
    Claim(
        key="jastrzebski18.negative",
        says="Jastrzebski et al. 2018: residual connections encourage blocks to move features "
        "along the negative gradient of the loss.",
        source="Jastrzebski18, abstract",
    ),
    Claim(
        key="jastrzebski18.refine",
        says="Jastrzebski et al. 2018: in general the first few blocks of a ResNet learn "
        "representations, while higher ones refine features step by step.",
        source="Jastrzebski18, abstract",
    ),
    Claim(
        key="greff17.estimates",
        says="Greff et al. 2017, on a 50-layer ResNet: the mean error stays close to 0 in every "
        "stage, and its spread decreases over the stage.",
        source="Greff17 Fig 3",
        conditions="ImageNet, ResNet-50",
    ),
    Claim(
        key="huang16.reuse",
        says="Huang et al. 2016, Fig 5: in a trained DenseNet the weights spread over many "
        "sources, blocks 2 and 3 use the transition's output least, and the classifier leans on "
        "late maps.",
        source="Huang16 Fig 5",
        conditions="CIFAR-10 with augmentation, L = 40, k = 12",
    ),
    Claim(
        key="he15.perturbations",
        says="He et al. 2015, section 3.1, say that if the best function is close to an identity, "
        "perturbations of an identity should be easier to find than the function as a new one, and "
        "that learned residuals have small responses (Fig 7).",
        source="He15 §3.1 and Fig 7",
    ),
    Claim(
        key="amplifier.not_he15",
        says="The numbers 5, 5.1 and 5.2 are not theirs: they come with programs that set plain "
        "and residual nets side by side.",
        source="programs, their notes",
    ),
    Claim(
        key="amplifier.example",
        says="Mapping 5 to 5.1 and then to 5.2 changes a plain map's output by 2 % of itself and "
        "the residual's by 100 %.",
        source="programs, their notes",
        bears="amplifier:changes",
        given={"x": 5.0, "before": 5.1, "after": 5.2},
        holds=(0.019, 1.0000001),
        unit="share of itself: plain, residual",
        conditions="arithmetic",
    ),
    Claim(
        key="amplifier.same_gradient",
        says="This is loudness relative to F alone: since H = x + F, the loss has the same "
        "gradient with respect to F as to H, so that a gradient step is not larger for it.",
        source=HERE,
        bears="amplifier:gradient_ratio",
        given={"family": "residual"},
        holds=(0.99999, 1.00001),
        unit="‖∂L/∂F‖ ÷ ‖∂L/∂H‖, least and greatest over blocks",
        conditions="residual nets that ship with the program, 64 training images of digits",
    ),
    Claim(
        key="conductance.plain",
        says="In a plain net nothing passes a block by, so that every bar reaches the line, as "
        "nearly as the integral adds up.",
        source=HERE,
        bears="conductance:around",
        given={"family": "plain", "n": 3},
        holds=(0, 0),
        unit="logits that pass a block by, the most of all blocks",
        conditions="plain nets that ship with the program, test images 0 to 2",
    ),
)
