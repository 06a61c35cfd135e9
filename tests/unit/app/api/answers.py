"""What every refusal of the API must be: three parts in words, nothing of ours, nothing of a patient."""

from tests import desks


def check_refused(answer, code):
    """The answer is an error in words, without a traceback, a path or a patient's name."""
    assert answer.status_code == code, answer.text
    error = answer.json()["error"]
    assert error["wrong"]
    assert error["remedy"]
    assert set(error) <= {"wrong", "found", "remedy", "number"}
    for secret in ("Traceback", 'File "', "sqlalchemy", "/tmp/", desks.NAME, "ZQ-4711"):
        assert secret not in answer.text
    return error
