"""Parts of ``benchmarks/omni.py``: the phantoms that are asked about, and rows of drafts and of boxes."""
