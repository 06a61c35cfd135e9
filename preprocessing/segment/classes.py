"""The classes of the network ``medomni-ct``: what each output channel means, and which of them are lesions.

Label k is channel k of the network; 0 is everything else.
"""

from medomni.anatomy import SEGMENTED, SEGMENTED_LESIONS

CLASSES = (*SEGMENTED, *SEGMENTED_LESIONS)
LABELS = {name: label for label, name in enumerate(CLASSES, start=1)}
"""Label of each class."""
LOBES_LEFT, LOBES_RIGHT = (1, 2), (3, 4, 5)
"""Labels of the lobes of each lung."""
CHANNELS = len(CLASSES) + 1
"""Output channels of the network, the background included."""
GRID_MM = 3.0
"""Edge of a voxel of the network's grid."""
WINDOW_HU = (-1000.0, 600.0)
"""CT numbers that the network sees; what lies outside is clipped. Arteries may reach 550 HU, where bone goes on."""
HU_PER_UNIT = 200.0
"""CT numbers in one unit of the network's input: soft tissues 20 HU apart are then a tenth apart."""
SOFT_HU = (-160.0, 240.0)
"""CT numbers that the network sees once more, stretched: fat, fluid, airless lung, muscle, blood with contrast.
What is left of bright ones by ``BRIGHT_SHARE`` is shown, so the upper end stands for 450 HU."""
BRIGHT_HU, BRIGHT_SHARE = 150.0, 0.3
"""Above this CT number only a share of the rest counts: blood looks much the same however much contrast is in it."""
