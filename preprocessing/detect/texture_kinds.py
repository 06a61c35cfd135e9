"""What the texture network looks for and on which grid: for those who read its answers, without torch."""

KINDS = (
    "lung_opacity",
    "consolidation",
    "atelectasis",
    "emphysema",
    "bronchiectasis",
    "peribronchial_thickening",
    "interlobular_septal_thickening",
    "mosaic_attenuation_pattern",
    "pulmonary_fibrotic_sequela",
)
"""What each output channel looks for."""
GRID_MM = (2.5, 1.5, 1.5)
"""(slice, row, column) edges of a voxel of the network's grid: fine within slices, where septa and bronchial walls are seen."""
BLOCK = 2
"""Voxels along the rows and columns of a block; the network answers once for each block."""
DIVISOR = (4, 8, 8)
"""What the sides of an image must be multiples of."""
