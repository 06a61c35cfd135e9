"""Measures of agreement between what was found and what is true."""
