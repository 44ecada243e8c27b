"""Every file of a run, damaged in every way: refused by name or made again to the same bits, never used in silence."""

import json
import shutil
import warnings

import pytest

import undiffuse as ud
from helpers import DIGITS, TINY
from undiffuse import datasets
from undiffuse.cli import main
from undiffuse.runs import config
from undiffuse.runs.check import check
from undiffuse.runs.folder import RunFolder
from undiffuse.studies import evaluate
from undiffuse.studies.open_run import OpenRun
from undiffuse.training import Execution, train_run


def flip(path, other):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def truncate(path, other):
    path.write_bytes(path.read_bytes()[:-7])


def empty(path, other):
    path.write_bytes(b"")


def delete(path, other):
    path.unlink()


def swap(path, other):
    shutil.copy(other, path)


DAMAGES = (flip, truncate, empty, delete, swap)


def train(text, path, seed=0, resume=False, save_every=30.0):
    settings = config.loads(f"seed = {seed}\n{text}", "c")
    execution = Execution(workers=1, save_every=save_every)
    return train_run(settings, datasets.load(settings), path, resume=resume, execution=execution)


def contents(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def states(path, *wanted):
    return {each.name: each.state for each in check(path) if each.state in wanted}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run and another one, each with an evaluation."""
    folder = tmp_path_factory.mktemp("whole")
    for name, seed in (("run", 0), ("other", 1)):
        run = OpenRun(train(TINY, folder / name, seed))
        evaluate.run(evaluate.Settings(run, samples=20, replicates=2))
    return folder


@pytest.fixture
def damaged(whole, tmp_path):
    """Damage a file of a copy of a run, in the manner of a name and a function."""

    def damage(name, how):
        path = shutil.copytree(whole / "run", tmp_path / "run")
        how(path / name, whole / "other" / name)
        return path

    return damage


MADE_AGAIN = ("config.toml", "reference.safetensors", "weights/block-0005-0008.safetensors")
RESULTS = ("metrics.json", "bound.json", "samples.npy")


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", [*MADE_AGAIN, *RESULTS])
def test_a_damaged_file_is_found_by_check(damaged, name, how):
    assert states(damaged(name, how), "damaged", "missing") == {name: "missing" if how is delete else "damaged"}


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", MADE_AGAIN)
def test_a_damaged_file_of_the_bank_is_refused_by_name_when_it_is_used(damaged, name, how):
    with pytest.raises(ud.UserError, match=rf"{name}|it has no {name}"):
        ud.Diffusion.load(damaged(name, how)).sample(2)


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", MADE_AGAIN)
def test_resuming_makes_a_damaged_file_again_to_the_same_bits_and_says_so(damaged, whole, name, how):
    path = damaged(name, how)
    with pytest.warns(UserWarning, match=rf"{name} is missing or damaged"):
        train(TINY, path, resume=True)
    before, after = contents(whole / "run"), contents(path)
    assert {n for n in after if after[n] != before.get(n)} <= {"manifest.json"}  # training_seconds
    assert not states(path, "damaged", "missing")


def test_resuming_makes_all_weights_again_where_their_folder_is_gone(damaged, whole):
    path = damaged("weights", lambda folder, _: shutil.rmtree(folder))
    with pytest.warns(UserWarning, match="is missing or damaged: trained again"):
        train(TINY, path, resume=True)
    before, after = contents(whole / "run"), contents(path)
    assert {n for n in after if after[n] != before.get(n)} <= {"manifest.json"}


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", ["metrics.json", "bound.json"])
def test_a_damaged_result_is_refused_by_name(damaged, name, how):
    with pytest.raises(ud.UserError, match=rf"{name} is (damaged|missing)"):
        RunFolder.open(damaged(name, how)).kept_json(name)


@pytest.mark.parametrize("how", [flip, truncate, empty, delete])
def test_a_damaged_manifest_is_refused_by_name(damaged, how):
    path = damaged("manifest.json", truncate if how is flip else how)
    with pytest.raises(ud.UserError, match=r"manifest\.json"):
        ud.Diffusion.load(path)
    with pytest.raises(ud.UserError, match=r"manifest\.json"):
        check(path)


def test_check_tells_what_to_do_and_ends_with_one(damaged, capsys):
    path = damaged(MADE_AGAIN[2], flip)
    (path / "notes.txt").write_text("mine")
    (path / "weights" / "block-0001-0003.safetensors").write_text("another run's")
    assert main(["check", str(path), "--json"]) == 1
    out = capsys.readouterr()
    answer = json.loads(out.out)
    assert answer["whole"] is False
    assert answer["counts"]["foreign"] == 2
    assert answer["counts"]["damaged"] == 1
    assert "damaged or missing" in out.err
    assert main(["check", str(path)]) == 1
    assert "--resume` trains it again" in capsys.readouterr().out


def test_check_names_what_a_killed_training_left(damaged):
    path = damaged(MADE_AGAIN[2], lambda path, other: None)
    (path / ".scratch").mkdir()
    for name in (".manifest.json.abcd1234.unfinished", "weights/.block-0001-0004.state.abcd1234.unfinished"):
        (path / name).write_text("half")
    assert set(states(path, "left over")) == {
        ".scratch",
        ".manifest.json.abcd1234.unfinished",
        "weights/.block-0001-0004.state.abcd1234.unfinished",
    }


def test_a_whole_run_passes(whole, capsys):
    assert main(["check", str(whole / "run")]) == 0
    assert "whole" in capsys.readouterr().out


# -- a sweep, cut off ----------------------------------------------------------------------------------------------


class Killed(Exception):
    """Raised where a kill might come: right after the state of an unfinished block was saved."""


def cut_off(path, seed, saves):
    """Train a sweep, saving after each pass, until so many saves."""
    made = []
    real = RunFolder.write_partial

    def write(run, entry, arrays):
        real(run, entry, arrays)
        made.append(entry)
        if len(made) == saves:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "write_partial", write)
        with pytest.raises(Killed):
            train(DIGITS, path, seed, save_every=0.0)


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory):
    """A sweep of blocks on digits, finished, and two of different seeds that were cut off inside a block."""
    folder = tmp_path_factory.mktemp("sweeps")
    train(DIGITS, folder / "whole")
    cut_off(folder / "cut", 0, saves=13)
    cut_off(folder / "other", 1, saves=13)
    return folder


def weights(path):
    return {name: content for name, content in contents(path).items() if name.startswith("weights/")}


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("ending", ["partial", "state"])
def test_a_damaged_unfinished_file_is_not_trained_on(sweeps, tmp_path, ending, how):
    path = shutil.copytree(sweeps / "cut", tmp_path / "run")
    file = min((path / "weights").glob(f"*.{ending}"))
    how(file, sweeps / "other" / "weights" / file.name)
    assert states(path, "damaged") == ({} if how is delete else {f"weights/{file.name}": "damaged"})
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        train(DIGITS, path, resume=True)
    assert bool(told) == (how is not delete or ending == "state")  # without a saved state a block just starts
    assert weights(path) == weights(sweeps / "whole")


def test_a_block_in_the_middle_of_a_sweep_is_trained_again_with_those_before_it(sweeps, tmp_path):
    path = shutil.copytree(sweeps / "whole", tmp_path / "run")
    first = min((path / "weights").iterdir())  # the end of the half that goes down
    flip(first, None)
    with pytest.warns(UserWarning, match="3 blocks before it in the sweep are trained again with it"):
        train(DIGITS, path, resume=True)
    assert weights(path) == weights(sweeps / "whole")
