"""An open run makes everything once; so does the main job."""

from collections import Counter

import numpy as np
import pytest

import undiffuse as ud
from undiffuse import datasets
from undiffuse.runs.folder import RunFolder
from undiffuse.studies import evaluate, job
from undiffuse.studies.open_run import OpenRun


@pytest.fixture
def counts(monkeypatch):
    """How often data are made, banks opened, and each block's record read."""
    found = Counter()

    def counted(owner, name, key):
        real = getattr(owner, name)

        def call(self, *args, **kwargs):
            found[key(*args)] += 1
            return real(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    counted(datasets.SpiralData, "make", lambda *_: "data")
    counted(RunFolder, "bank", lambda *_: "bank")
    counted(RunFolder, "reference", lambda *_: "reference")
    counted(RunFolder, "read_record", lambda entry: entry.stem)
    return found


def test_the_main_job_makes_its_data_once_opens_its_bank_once_and_reads_each_record_once(counts, tiny_file, tmp_path):
    job.run(job.Settings(str(tiny_file), out=tmp_path / "run", workers=1))
    blocks = ["block-0001-0004", "block-0005-0008", "block-0009-0012"]
    assert counts == {"data": 1, "bank": 1, "reference": 2, **dict.fromkeys(blocks, 1)}  # one for training, one for all


def test_an_open_run_serves_several_studies(counts, tiny_run_path, tmp_path):
    opened = OpenRun.of(tiny_run_path)
    assert OpenRun.of(opened) is opened
    first, second = opened.denoisers, opened.denoisers
    assert all(first[name] is second[name] for name in ("bank", "gaussian", "empirical"))
    np.testing.assert_array_equal(opened.model.errors, ud.Diffusion.load(tiny_run_path).errors)
    assert (counts["data"], counts["bank"]) == (1, 2)  # the second bank is the other model's


def test_data_that_have_changed_are_refused(tiny_run_path, monkeypatch):
    monkeypatch.setattr(
        datasets.SpiralData, "make", lambda self, seed, samples=None: datasets.Dataset(*np.ones((2, 99, 2)))
    )
    with pytest.raises(ud.UserError, match="was trained on other data"):
        _ = OpenRun.of(tiny_run_path).data


def test_a_spiral_has_no_images(tiny_run_path):
    with pytest.raises(ud.UserError, match="was not trained on images"):
        _ = OpenRun.of(tiny_run_path).images


@pytest.mark.parametrize("name", ["samples", "replicates"])
def test_too_few_samples_are_refused_before_anything_is_replaced(tiny_run_path, name):
    before = sorted(path.name for path in tiny_run_path.iterdir())
    with pytest.raises(ud.UserError, match=f"{name} = 0: wanted at least 2"):
        evaluate.run(evaluate.Settings(tiny_run_path, **{name: 0}))
    assert sorted(path.name for path in tiny_run_path.iterdir()) == before
