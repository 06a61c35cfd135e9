"""What the pre-segmenter ``medomni-ct`` learns from and how: needed to train it, never to run it."""
