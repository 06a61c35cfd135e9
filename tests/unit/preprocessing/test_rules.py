"""The digest of rules covers every file that they lie in."""

import pytest

from preprocessing.rules import rules_digest


def test_each_file_of_the_rules_counts():
    alone = rules_digest("segment/hu_rules.py")
    assert alone != rules_digest("segment/hu_rules.py", "segment/lungs.py")
    assert alone == rules_digest("segment/hu_rules.py", "coarse.py")


def test_rules_that_are_nowhere_are_an_error():
    with pytest.raises(ValueError, match="lunks"):
        rules_digest("segment/lunks.py")
