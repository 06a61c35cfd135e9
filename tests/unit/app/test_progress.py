import pytest

from app.progress import StageWatch


def test_each_stage_leaves_its_cost():
    with StageWatch(is_quiet=True) as watch:
        with watch.stage("read"):
            sum(range(300_000))
        with watch.stage("segment") as progress:
            progress(0.5)
    read, segment = watch.records
    assert (read.stage, segment.stage) == ("read", "segment")
    assert read.cpu_seconds >= 0
    assert 10 < read.peak_mib <= segment.peak_mib


def test_failed_stage_leaves_no_record():
    with pytest.raises(ValueError, match="broken"), StageWatch(is_quiet=True) as watch, watch.stage("read"):
        raise ValueError("broken")
    assert watch.records == ()


def test_nothing_is_drawn_where_nobody_watches(capsys):
    with StageWatch(is_quiet=False) as watch, watch.stage("read") as progress:
        progress(2.0)
    assert capsys.readouterr() == ("", "")
