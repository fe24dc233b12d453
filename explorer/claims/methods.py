"""Methods that instruments take from other papers; instruments that show no paper's figure."""

from __future__ import annotations

from explorer.claims.contract import Claim

ROWS = (
    Claim(
        key="methods.maps",
        says="None of the papers on depth shows this; pictures of what single maps answer to are "
        "those of Zeiler and Fergus 2013.",
        source="Zeiler13",
    ),
    Claim(
        key="methods.pixels",
        says="None of the papers on depth. Integrated gradients are of Sundararajan et al. 2017, "
        "Grad-CAM of Selvaraju et al. 2017 (here with its sign), saliency of Simonyan et al. 2013, "
        "occlusion of Zeiler and Fergus 2013.",
        source="Sundararajan17; Selvaraju17; Simonyan13; Zeiler13",
    ),
    Claim(
        key="methods.conductance",
        says="None of the papers on depth; conductance is of Dhamdhere et al. 2018.",
        source="Dhamdhere18",
    ),
)
