"""Digits: IDX files, the embedded selection, the download."""

import gzip
import hashlib
import http.server
import lzma
import threading
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import undiffuse as ud
from helpers import write_folder
from undiffuse import UserError, datasets
from undiffuse.datasets import idx
from undiffuse.datasets.mnist import EMBEDDED
from undiffuse.runs import config


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (30, 5, 4), dtype=np.uint8), np.arange(30, dtype=np.uint8) % 3 + 4


@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=1, max_dims=3, max_side=6), elements=st.integers(0, 255)))
def test_idx_files_come_back_as_they_were_written(array):
    np.testing.assert_array_equal(idx.decode(idx.encode(array), "x"), array)


@pytest.mark.parametrize(("split", "counts"), [("train", (5923, 6742, 6131)), ("test", (980, 1135, 1010))])
def test_embedded_digits_are_all_of_mnists_zeros_ones_and_threes(split, counts):
    found = datasets.mnist(EMBEDDED, split)
    assert tuple(int(np.sum(found.labels == d)) for d in EMBEDDED) == counts
    assert found.x.shape == (sum(counts), 784)


def test_embedded_digits_are_in_the_files_order():
    # The first labels of the official file are 5 0 4 1 9 2 1 3 1 4 3 5 3 6 1 7.
    assert datasets.mnist((0, 1, 3)).labels[:8].tolist() == [0, 1, 1, 3, 1, 3, 3, 1]


def test_the_two_pixel_scales_are_one_affine_map_apart():
    unit, symmetric = (datasets.mnist((0, 1), "test", pixels=pixels) for pixels in ("unit", "symmetric"))
    assert (unit.x.min(), unit.x.max(), symmetric.x.min(), symmetric.x.max()) == (0, 1, -1, 1)
    np.testing.assert_allclose(symmetric.x, 2 * unit.x - 1, atol=1e-15)


@pytest.mark.parametrize(("pack", "suffix"), [(bytes, ""), (gzip.compress, ".gz"), (lzma.compress, ".xz")])
def test_any_idx_folder_is_read_packed_or_not(tmp_path, images, pack, suffix):
    write_folder(tmp_path / "d", *images, pack, suffix)
    found = datasets.mnist((4, 6), "test", tmp_path / "d")
    kept = images[1] != 5
    np.testing.assert_allclose(found.x, images[0][kept].reshape(20, 20) / 255)
    assert found.shape == (5, 4)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b[:-3], "is damaged: its header promises 30 x 5 x 4"),
        (lambda b: b + b"x", "is damaged: its header promises"),
        (lambda b: b"PK\3\4" + b[4:], "is not an IDX file"),
        (lambda b: b[:3], "is not an IDX file"),
        (lambda b: b"", "is not an IDX file"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_by_name(tmp_path, images, damage, message):
    folder = write_folder(tmp_path / "d", *images)
    file = folder / "t10k-images-idx3-ubyte"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match=message) as error:
        datasets.mnist((4,), "test", folder)
    assert str(file) in str(error.value)


def test_a_cut_gzip_file_is_refused_by_name(tmp_path, images):
    folder = write_folder(tmp_path / "d", *images, gzip.compress, ".gz")
    file = folder / "train-labels-idx1-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"train-labels-idx1-ubyte\.gz is damaged: it does not unpack"):
        datasets.mnist((4,), "train", folder)


def test_files_that_do_not_belong_together_are_refused(tmp_path, images):
    folder = write_folder(tmp_path / "d", *images)
    (folder / "train-labels-idx1-ubyte").write_bytes(idx.encode(images[1][:7]))
    with pytest.raises(UserError, match="do not belong together"):
        datasets.mnist((4,), "train", folder)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: datasets.mnist((0, 1), "tset"), "did you mean 'test'"),
        (lambda: datasets.mnist((0, 1), pixels="unt"), "did you mean 'unit'"),
        (lambda: datasets.mnist((0, 0)), "wanted different labels"),
        (lambda: datasets.mnist((0, 1), folder="/nowhere"), "there is no folder '/nowhere'"),
        (lambda: datasets.mnist((0, 1)).first(99_999), "99999 images wanted, there are 12665"),
    ],
)
def test_a_wrong_question_is_answered_in_a_line(call, message):
    with pytest.raises(UserError, match=message):
        call()


def test_a_label_that_is_not_there_is_named(tmp_path, images):
    with pytest.raises(UserError, match=r"label \[9\] is not in the train set; it has \[4, 5, 6\]"):
        datasets.mnist((4, 9), folder=write_folder(tmp_path / "d", *images))


def test_digits_outside_the_package_say_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError, match="undiffuse data fetch mnist"):
        datasets.mnist((5, 7))


def test_a_configuration_takes_the_first_images_of_each_split():
    section = {"name": "mnist", "digits": [1, 3], "n": 200, "held_out": 50, "pixels": "symmetric"}
    data = datasets.load(config.validate({"data": section}, "test"))
    whole = datasets.mnist((1, 3), "test", pixels="symmetric")
    np.testing.assert_array_equal(data.held_out, whole.x[:50])
    assert data.train.shape == (200, 784)
    assert data.images[0].labels[:3].tolist() == [1, 1, 3]


def test_clothes_are_read_from_their_folder(tmp_path, images):
    section = {"name": "fashion-mnist", "digits": [4, 5], "folder": str(write_folder(tmp_path / "d", *images))}
    data = datasets.load(config.validate({"data": section, "training": {"batch": 5}}, "test"))
    assert data.labels == [4, 5]


def test_no_digits_stand_in_for_clothes_without_a_folder():
    with pytest.raises(UserError, match="--data DIR"):
        datasets.load(config.validate({"data": {"name": "fashion-mnist", "digits": [0, 1]}}, "test"))


# -- download ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path, images):
    """Serve a data set over HTTP on this machine; gives its address and the folder behind it."""
    folder = write_folder(tmp_path / "served", *images, gzip.compress, ".gz")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/", folder
        running.shutdown()


@pytest.fixture
def digests(images):
    each = [hashlib.sha256(idx.encode(array)).hexdigest() for array in images]
    return each * 2


def test_a_download_is_checked_and_read_like_any_folder(tmp_path, server, digests, images):
    folder = datasets.fetch(tmp_path / "new", [server[0]], digests)
    np.testing.assert_allclose(datasets.mnist((4, 5, 6), folder=folder).x, images[0].reshape(30, 20) / 255)


def test_a_download_goes_on_with_the_files_that_are_missing(tmp_path, server, digests):
    came_from = {}
    folder = datasets.fetch(tmp_path / "new", [server[0]], digests)
    (folder / "t10k-images-idx3-ubyte").write_bytes(b"cut")
    datasets.fetch(folder, [server[0]], digests, came_from.__setitem__)
    assert [name for name, source in came_from.items() if source != "there already"] == ["t10k-images-idx3-ubyte"]


def test_the_next_mirror_stands_in_for_one_with_another_file(tmp_path, server, digests, images):
    came_from = {}
    (server[1] / "wrong").mkdir()
    for name in idx.names():
        (server[1] / "wrong" / f"{name}.gz").write_bytes(gzip.compress(b"something else"))
    datasets.fetch(tmp_path / "new", [server[0] + "wrong/", server[0]], digests, came_from.__setitem__)
    assert set(came_from.values()) == {server[0]}


def test_a_download_without_a_network_says_so_and_leaves_nothing(tmp_path, digests):
    with pytest.raises(UserError, match="is the network there"):
        datasets.fetch(tmp_path / "new", ["http://127.0.0.1:9/"], digests)
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_a_file_that_unpacks_to_more_than_its_header_says_is_not_unpacked(tmp_path, suffix):
    """1 GB of zeros behind a header of 5 x 4 x 3 bytes; memory is traced."""
    import gzip
    import lzma
    import tracemalloc

    pack = {".gz": gzip.open, ".xz": lzma.open}[suffix]
    with pack(tmp_path / f"train-images-idx3-ubyte{suffix}", "wb") as file:
        file.write(idx.encode(np.zeros((5, 4, 3), np.uint8)))
        for _ in range(64):
            file.write(bytes(1 << 24))
    tracemalloc.start()
    with pytest.raises(ud.UserError, match=r"promises 5 x 4 x 3 bytes, it holds more"):
        idx.read(tmp_path, "train-images-idx3-ubyte")
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()


def test_a_header_that_claims_more_than_the_memory_is_refused(tmp_path):
    header = bytes([0, 0, 8, 3]) + np.array([2**32 - 1, 4000, 4000], ">u4").tobytes()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(header)
    with pytest.raises(ud.UserError, match=r"takes 687\d+ GB of memory, this machine has"):
        idx.read(tmp_path, "train-images-idx3-ubyte")
