"""Hostile and odd inputs: a seeded generator, and the tests that hold the program to its verdicts.

``python -m tests.hostile OUT --seed N`` writes the corpus with a manifest. Take care: it holds a pipe, links, a folder
loop and about 1 GB of zeros packed small. Never copy, search or unpack it without thought.
"""
