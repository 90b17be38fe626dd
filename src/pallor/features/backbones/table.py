"""The backbones that there are."""

from __future__ import annotations

from typing import Final

from pallor.features.backbones.backbone import Backbone
from pallor.features.backbones.efficientnet_lite0 import BACKBONE as EFFICIENTNET_LITE0
from pallor.features.backbones.mobilenet_v2 import BACKBONE as MOBILENET_V2
from pallor.features.backbones.resnet152 import BACKBONE as RESNET152

BACKBONES: Final[dict[str, Backbone]] = {
    backbone.name: backbone for backbone in (MOBILENET_V2, RESNET152, EFFICIENTNET_LITE0)
}
"""Name to backbone."""
