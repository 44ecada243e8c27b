import json
import os
import shutil
import stat
import subprocess
import sys

import numpy as np
import pytest

import undiffuse as ud
from helpers import TINY
from undiffuse import datasets
from undiffuse.runs import config
from undiffuse.runs.folder import RunFolder
from undiffuse.support.errors import FailedJobError
from undiffuse.support.files import write_file
from undiffuse.training import Execution, train_run


@pytest.fixture
def run_path(tiny_run_path, tmp_path):
    """A copy of the finished run, to damage."""
    return shutil.copytree(tiny_run_path, tmp_path / "run")


def some_block(path):
    return sorted((path / "weights").glob("*.safetensors"))[1]


def resume(path, text=TINY, **options):
    settings = config.loads(text, "tiny")
    return train_run(settings, datasets.load(settings), path, resume=True, execution=Execution(workers=1), **options)


def test_folder_holds_what_the_design_says(tiny_run_path):
    names = {p.name for p in tiny_run_path.iterdir()}
    assert names == {"config.toml", "manifest.json", "reference.safetensors", "weights", "metrics.jsonl", "lock"}
    manifest = json.loads((tiny_run_path / "manifest.json").read_text())
    assert manifest["package_version"] == ud.__version__
    assert [(b["first"], b["last"], b["state"]) for b in manifest["blocks"]] == [
        (1, 4, "done"),
        (5, 8, "done"),
        (9, 12, "done"),
    ]
    assert all(len(b["sha256"]) == 64 for b in manifest["blocks"])


def test_config_on_disk_gives_back_the_configuration(tiny_run_path):
    text = (tiny_run_path / "config.toml").read_text()
    assert config.loads(text, "disk") == config.loads(TINY, "tiny")
    assert "beta_1" in text
    assert 'decay = "none"' in text  # defaults are written out


def test_weights_are_read_one_time_at_a_time(tiny_run_path, monkeypatch):
    bank = RunFolder.open(tiny_run_path).bank()
    opened = []
    import safetensors

    real = safetensors.safe_open
    monkeypatch.setattr(safetensors, "safe_open", lambda path, **k: opened.append(path.name) or real(path, **k))
    bank.xi_hat(np.zeros((1, 2)), 6)
    assert opened == ["block-0005-0008.safetensors"]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_file_modes_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        path = write_file(tmp_path / "x", b"1")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = write_file(tmp_path / "x", b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(FailedJobError, match="No space left"):
        write_file(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert path.read_bytes() == b"old"


def test_blocks_too_large_for_the_memory_are_refused_before_the_work(tmp_path, monkeypatch):
    """A machine of 64 pages of 64 bytes: two tiny blocks at once do not fit."""
    settings = config.loads(TINY, "tiny")
    data = datasets.load(settings)
    monkeypatch.setattr(os, "sysconf", lambda name: 64)
    with pytest.raises(ud.UserError, match=r"2 blocks of .* lower training.block \(now 4\)"):
        train_run(settings, data, tmp_path / "run", execution=Execution(workers=2))
    assert not (tmp_path / "run").exists()


# -- damaged and foreign folders ------------------------------------------------------------------------------------


def test_missing_folder(tmp_path):
    with pytest.raises(ud.UserError, match="there is no run folder"):
        ud.Diffusion.load(tmp_path / "nowhere")


def test_folder_that_is_no_run(tmp_path):
    with pytest.raises(ud.UserError, match=r"not a run folder: it has no manifest.json"):
        ud.Diffusion.load(tmp_path)


def test_truncated_weights(run_path):
    path = some_block(run_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ud.UserError, match=r"block-0005-0008.safetensors is damaged"):
        ud.Diffusion.load(run_path)


def test_one_flipped_bit(run_path):
    path = some_block(run_path)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ud.UserError, match="sha256"):
        RunFolder.open(run_path).bank().xi_hat(np.zeros((1, 2)), 6)


def test_missing_weights(run_path):
    some_block(run_path).unlink()
    with pytest.raises(ud.UserError, match=r"block-0005-0008.safetensors is missing"):
        ud.Diffusion.load(run_path)


def test_altered_configuration(run_path):
    path = run_path / "config.toml"
    path.write_text(path.read_text().replace("epochs = 3", "epochs = 4"))
    with pytest.raises(ud.UserError, match="not the file this run was made with"):
        ud.Diffusion.load(run_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99, "blocks": []}'])
def test_damaged_manifest(run_path, content):
    (run_path / "manifest.json").write_text(content)
    with pytest.raises(ud.UserError, match=r"manifest.json is"):
        ud.Diffusion.load(run_path)


def test_unfinished_run_says_how_far_it_is(run_path):
    path = run_path / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["blocks"][0]["state"] = "to do"
    path.write_text(json.dumps(manifest))
    with pytest.raises(ud.UserError, match="2 of 3 blocks trained: finish it with --resume"):
        ud.Diffusion.load(run_path)


# -- starting and resuming ------------------------------------------------------------------------------------------


def test_existing_run_is_not_trained_over(run_path):
    settings = config.loads(TINY, "tiny")
    before = some_block(run_path).read_bytes()
    with pytest.raises(ud.UserError, match="--resume or replace it with --overwrite"):
        train_run(settings, datasets.load(settings), run_path, execution=Execution(workers=1))
    assert some_block(run_path).read_bytes() == before


def test_overwrite_leaves_a_folder_that_is_no_run_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    settings = config.loads(TINY, "tiny")
    with pytest.raises(ud.UserError, match="not a run folder"):
        train_run(settings, datasets.load(settings), tmp_path, overwrite=True, execution=Execution(workers=1))
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_overwrite_replaces_a_run(run_path):
    (run_path / "report.html").write_text("old")
    settings = config.loads(TINY.replace("epochs = 3", "epochs = 1"), "tiny")
    train_run(settings, datasets.load(settings), run_path, overwrite=True, execution=Execution(workers=1))
    assert not (run_path / "report.html").exists()
    assert RunFolder.open(run_path).config.training.epochs == 1
    assert [p.name for p in run_path.parent.iterdir()] == ["run"]


def test_resume_wants_a_run(tmp_path):
    with pytest.raises(ud.UserError, match="there is no run folder"):
        resume(tmp_path / "nowhere")


def test_resume_with_other_settings_names_the_section(run_path):
    with pytest.raises(ud.UserError, match=r"another configuration \(training differ\)"):
        resume(run_path, TINY.replace("epochs = 3", "epochs = 4"))


def test_resume_on_other_data_is_refused(tmp_path, rng):
    np.save(tmp_path / "x.npy", rng.standard_normal((300, 2)))
    text = TINY.replace('name = "spiral"\nn = 400', f'name = "file"\npath = "{tmp_path / "x.npy"}"')
    settings = config.loads(text, "tiny")
    train_run(settings, datasets.load(settings), tmp_path / "run", execution=Execution(workers=1))
    np.save(tmp_path / "x.npy", rng.standard_normal((300, 2)))
    with pytest.raises(ud.UserError, match="trained on other data"):
        resume(tmp_path / "run", text)


def test_two_trainings_in_one_folder_are_refused(run_path):
    code = (
        "import sys; from undiffuse.runs.folder import RunFolder\n"
        "with RunFolder.open(sys.argv[1]).lock(): print('held', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(run_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ud.UserError, match="another process is training"):
            resume(run_path)
    finally:
        holder.communicate(b"\n")


# -- nothing outside the folder -------------------------------------------------------------------------------------


def alter(path, change):
    """Rewrite the manifest with something changed."""
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("resumed", [False, True], ids=["read", "trained"])
@pytest.mark.parametrize("name", ["/etc/passwd", "../outside.safetensors", "block-0005-0008.safetensors"])
def test_a_manifest_cannot_name_files(run_path, tmp_path, name, resumed):
    outside = tmp_path / "outside.safetensors"
    outside.write_text("somebody else's")
    alter(run_path, lambda m: m["blocks"][1].update(file=name, state="to do" if resumed else "done"))
    with pytest.raises(ud.UserError, match=r"manifest.json is damaged: blocks.1.file"):
        resume(run_path) if resumed else ud.Diffusion.load(run_path)
    assert outside.read_text() == "somebody else's"


@pytest.mark.parametrize("ending", ["safetensors", "partial", "state"])
def test_links_out_of_a_run_are_neither_read_nor_written_nor_deleted(run_path, tmp_path, ending):
    outside = tmp_path / "outside"
    outside.write_text("somebody else's")
    block = some_block(run_path)
    block.unlink()
    block.with_suffix(f".{ending}").symlink_to(outside)
    alter(run_path, lambda m: m["blocks"][1].update(state="to do"))
    with pytest.raises(ud.UserError, match="is a link"):
        resume(run_path)
    assert outside.read_text() == "somebody else's"


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(blocks=None),
        lambda m: m["blocks"][0].pop("first"),
        lambda m: m["blocks"][0].update(first="1"),
        lambda m: m["blocks"][0].update(state="finished"),
        lambda m: m.update(training_seconds="long"),
        lambda m: m.update(device="tpu"),
        lambda m: m.update(data_sha256="0"),
        lambda m: m.pop("package_version"),
        lambda m: m.update(program="somebody else's"),
    ],
)
def test_a_manifest_with_anything_mistyped_is_refused_by_name(run_path, change):
    alter(run_path, change)
    with pytest.raises(ud.UserError, match=r"manifest.json is (damaged|not the manifest)"):
        RunFolder.open(run_path)


def test_deeply_nested_json_is_refused(run_path):
    (run_path / "manifest.json").write_text("[" * 200_000)
    with pytest.raises(ud.UserError, match="it is not JSON"):
        RunFolder.open(run_path)


@pytest.mark.parametrize(("number", "words"), [(1, "train it again"), (3, "reads format 2 only")])
def test_a_run_of_another_format_is_refused(run_path, number, words):
    alter(run_path, lambda m: m.update(format=number))
    with pytest.raises(ud.UserError, match=rf"is of run format {number}, made by undiffuse .*{words}"):
        ud.Diffusion.load(run_path)


def test_a_damaged_reference_is_noticed(run_path):
    path = run_path / "reference.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ud.UserError, match=r"reference.safetensors is damaged"):
        ud.Diffusion.load(run_path)


def overwrite(path):
    settings = config.loads(TINY, "tiny")
    train_run(settings, datasets.load(settings), path, overwrite=True, execution=Execution(workers=1))


@pytest.mark.parametrize("content", ["{}", "not JSON", '{"format": 2, "blocks": []}', '{"config_sha256": "0"}'])
def test_overwrite_leaves_other_programs_manifests_alone(tmp_path, content):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "manifest.json").write_text(content)
    (theirs / "config.toml").write_text("")
    with pytest.raises(ud.UserError, match="not a run folder"):
        overwrite(theirs)
    assert (theirs / "manifest.json").read_text() == content


@pytest.mark.parametrize("name", ["notes.txt", "weights/mine.safetensors", ".git"])
def test_overwrite_does_not_delete_what_no_command_wrote(run_path, name):
    (run_path / name).write_text("years of work")
    with pytest.raises(ud.UserError, match=f"holds {name}, which no command put there"):
        overwrite(run_path)
    assert (run_path / name).read_text() == "years of work"
    assert RunFolder.open(run_path).unfinished == []


def test_overwrite_replaces_a_run_of_an_older_format(run_path):
    alter(run_path, lambda m: m.update(format=1))
    overwrite(run_path)
    assert RunFolder.open(run_path).unfinished == []


def test_overwrite_does_not_follow_a_link_to_a_run(run_path, tmp_path):
    (tmp_path / "link").symlink_to(run_path)
    with pytest.raises(ud.UserError, match="not a run folder"):
        overwrite(tmp_path / "link")
    assert RunFolder.open(run_path).unfinished == []


def test_a_failed_overwrite_leaves_the_old_run(run_path, monkeypatch):
    """The new run cannot take the name: the old one gets it back."""
    real = type(run_path).rename

    def rename(self, target):
        if self.name.endswith(".new"):
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(type(run_path), "rename", rename)
    with pytest.raises(FailedJobError, match="Input/output error"):
        overwrite(run_path)
    assert RunFolder.open(run_path).unfinished == []
    assert [p.name for p in run_path.parent.iterdir()] == ["run"]


def test_a_run_whose_replacement_was_killed_is_found(run_path):
    """Killed between the two renames: the old run is whole, under another name."""
    run_path.rename(run_path.with_name(".run.12345.old"))
    with pytest.raises(ud.UserError, match=r"there is no run folder .*left whole as .*\.run\.12345\.old"):
        RunFolder.open(run_path)
    assert RunFolder.open(run_path.with_name(".run.12345.old")).unfinished == []


def test_weights_of_a_stored_bank_are_read_only_and_their_copies_are_not(tiny_run_path):
    bank = ud.Diffusion.load(tiny_run_path).bank
    with pytest.raises(ValueError, match="read-only"):
        bank.kept(3).W[...] = 0
    changed = bank[3]
    changed.W[...] = 0
    assert bank[3].W.any()
    for name, array in bank[3].weights.arrays().items():
        np.testing.assert_array_equal(array, getattr(bank.kept(3), name))
