"""MedOmni drafts CT reports: findings first, then measurements, then words.

MedOmni is not a medical device; every draft is for a radiologist to check, edit and sign.
"""

__version__ = "0.1.0"
