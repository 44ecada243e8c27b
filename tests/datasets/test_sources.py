"""Files of anyone's data: every format, and what is wrong with them."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import undiffuse as ud
from undiffuse.datasets import FileData, LabelledDataset, Rows, Source, Units, idx, without_missing
from undiffuse.datasets.mnist import ImageDataset
from undiffuse.datasets.sources import format_of, given_rows, is_data

h5py = pytest.importorskip("h5py")


@pytest.fixture
def x(rng):
    return rng.normal(size=(12, 3))


def test_every_format_gives_the_same_rows(tmp_path, x):
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", samples=x)
    np.savetxt(tmp_path / "x.csv", x, delimiter=",")
    np.savetxt(tmp_path / "x.tsv", x, delimiter="\t")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["samples"] = x
    for ending in ("npy", "npz", "csv", "tsv", "h5"):
        assert np.array_equal(Source(tmp_path / f"x.{ending}").read().x, x), ending


def test_labels_come_from_a_column_an_array_a_data_set_or_a_file(tmp_path, x):
    words = ["b", "a", "c"] * 4
    np.savez(tmp_path / "x.npz", x=x, labels=np.array(words))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["samples"], file["labels"] = x, np.array(words, "S1")
    lines = [",".join([*map(repr, row.tolist()), word]) for row, word in zip(x, words, strict=True)]
    (tmp_path / "x.csv").write_text("u,v,w,kind\n" + "\n".join(lines))
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "kinds.csv").write_text("\n".join(words))
    sources = [
        Source(tmp_path / "x.npz"),
        Source(tmp_path / "x.h5"),
        Source(tmp_path / "x.csv", labels="kind"),
        Source(tmp_path / "x.npy", labels=str(tmp_path / "kinds.csv")),
    ]
    for source in sources:
        rows = source.read()
        assert rows.classes == ("a", "b", "c"), source
        assert rows.labels.tolist() == [1, 0, 2] * 4, source
        assert np.array_equal(rows.x, x), source


def test_labels_that_are_numbers_are_in_their_order(x):
    assert Rows(x).with_labels([10, 9.0, 2] * 4).classes == ("2", "9", "10")


def test_a_folder_of_images_is_read_in_the_order_of_names(tmp_path):
    pictures = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    for name, picture in zip("cab", pictures, strict=True):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    rows = Source(tmp_path).read()
    assert (rows.shape, rows.bytes) == ((4, 5), True)
    assert np.array_equal(rows.x, pictures[[1, 2, 0]].reshape(3, 20))


def test_idx_files_are_read_alone_or_as_a_folder(tmp_path, rng):
    images, labels = rng.integers(0, 256, (6, 3, 3), np.uint8), np.array([0, 1, 2, 0, 1, 2], np.uint8)
    for split in ("train", "t10k"):
        (tmp_path / f"{split}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx.encode(images)))
        (tmp_path / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx.encode(labels)))
    alone = Source(tmp_path / "train-images-idx3-ubyte.gz", labels=str(tmp_path / "train-labels-idx1-ubyte.gz")).read()
    folder = Source(tmp_path).read()
    for rows in (alone, folder):
        assert np.array_equal(rows.x, images.reshape(6, 9))
        assert rows.labels.tolist() == labels.tolist()


def test_some_classes_are_kept(tmp_path, x):
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(12) % 3)
    section = FileData(path=str(tmp_path / "x.npz"), held_out=2, classes=("0", "2"))
    rows = section.read()
    assert np.array_equal(rows.x, x[np.arange(12) % 3 != 1])
    assert rows.classes == ("0", "2")
    assert isinstance(section.make(0), LabelledDataset)


def test_shuffling_keeps_rows_and_labels_together(tmp_path, x):
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(12))
    data = FileData(path=str(tmp_path / "x.npz"), held_out=4, shuffled=True).make(3)
    both, labels = np.concatenate([data.train, data.held_out]), np.concatenate(data.labels)
    assert not np.array_equal(both, x)
    assert np.array_equal(both, x[labels])


def test_classes_of_new_rows_are_those_of_the_nearest(rng):
    x = np.concatenate([rng.normal(-5, 1, (30, 2)), rng.normal(5, 1, (30, 2))])
    labels = np.repeat([0, 1], 30)
    data = LabelledDataset(x, x[:2], labels=(labels, labels[:2]), names=("left", "right"))
    assert data.class_rule()(np.array([[-5.0, -5.0], [5.0, 5.0]])).tolist() == [0, 1]


def test_three_axes_are_images():
    rows = given_rows(np.zeros((4, 2, 3), np.uint8))
    section = ud.datasets.ArrayData(held_out=1, units=Units.pixels(0, 255, True))
    data = section.make(0, rows)
    assert isinstance(data, ImageDataset)
    assert (data.images[0].shape, data.images[0].low, data.images[0].high) == ((2, 3), 0.0, 1.0)


def gaps():
    return Rows(np.array([[1.0, np.nan], [3.0, 4.5], [np.nan, 6.0], [6.0, 7.0]]), ("a", "b"))


def test_missing_values_are_counted_by_column_and_refused():
    with pytest.raises(ud.UserError, match=r"2 values are missing, in 2 of 4 rows, in columns a \(1\), b \(1\)"):
        without_missing(gaps(), "refuse", "t.csv")


def test_rows_with_missing_values_are_dropped():
    assert without_missing(gaps(), "drop", "t.csv").x.tolist() == [[3, 4.5], [6, 7]]


def test_means_are_filled_in_and_stay_whole_in_whole_columns():
    filled = without_missing(gaps(), "mean", "t.csv").x
    assert filled[2, 0] == 3.0  # of 10/3
    assert filled[0, 1] == 17.5 / 3


def test_a_column_without_any_value_is_named():
    with pytest.raises(ud.UserError, match="every value of 'b' is missing"):
        without_missing(Rows(np.array([[1.0, np.nan]]), ("a", "b")), "mean", "t.csv")


def odd_picture(folder: Path) -> Source:
    for name, size in (("a", (4, 4)), ("b", (4, 4)), ("c", (5, 4))):
        Image.new("L", size).save(folder / f"{name}.png")
    return Source(folder)


def no_picture(folder: Path) -> Source:
    (folder / "a.png").write_bytes(b"text")
    return Source(folder)


def several_arrays(folder: Path) -> Source:
    np.savez(folder / "x.npz", first=np.eye(2), second=np.eye(2))
    return Source(folder / "x.npz")


def no_samples(folder: Path) -> Source:
    with h5py.File(folder / "x.h5", "w") as file:
        file["group/one"], file["two"] = np.eye(2), np.eye(3)
    return Source(folder / "x.h5")


def no_such_set(folder: Path) -> Source:
    no_samples(folder)
    return Source(folder / "x.h5", key="too")


def not_hdf5(folder: Path) -> Source:
    (folder / "x.h5").write_bytes(b"text")
    return Source(folder / "x.h5")


def not_npz(folder: Path) -> Source:
    (folder / "x.npz").write_bytes(b"text")
    return Source(folder / "x.npz")


def few_labels(folder: Path) -> Source:
    np.save(folder / "x.npy", np.eye(5))
    np.save(folder / "y.npy", np.arange(3))
    return Source(folder / "x.npy", labels=str(folder / "y.npy"))


def no_labels(folder: Path) -> Source:
    np.save(folder / "x.npy", np.eye(5))
    return Source(folder / "x.npy", labels="kind")


def infinite(folder: Path) -> Source:
    np.save(folder / "x.npy", np.array([[1.0], [np.inf]]))
    return Source(folder / "x.npy")


def words(folder: Path) -> Source:
    np.save(folder / "x.npy", np.array(["a", "b"]))
    return Source(folder / "x.npy")


def four_axes(folder: Path) -> Source:
    np.save(folder / "x.npy", np.zeros((2, 2, 2, 3)))
    return Source(folder / "x.npy")


def workbook(folder: Path) -> Source:
    (folder / "x.xlsx").write_bytes(b"PK")
    return Source(folder / "x.xlsx")


def empty_folder(folder: Path) -> Source:
    return Source(folder)


def key_of_no_array(folder: Path) -> Source:
    np.save(folder / "x.npy", np.zeros((5, 2)))
    return Source(folder / "x.npy", key="x")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (key_of_no_array, r"key 'x': it names an array of an .npz or HDF5 file, and .*x.npy' is npy"),
        (odd_picture, r"c.png has 5 x 4 pixels, a.png has 4 x 4: wanted images of one size"),
        (no_picture, r"a.png is not a PNG image"),
        (several_arrays, r"holds 'first', 'second', none of them called samples or x: .*--set data.key=NAME"),
        (no_samples, r"holds 'group/one', 'two', none of them called samples"),
        (no_such_set, r"unknown array of .* 'too'; did you mean 'two'"),
        (not_hdf5, "is not an HDF5 file"),
        (not_npz, "is not a .npz file of numbers"),
        (few_labels, "3 labels for 5 rows"),
        (no_labels, "has no labels 'kind'"),
        (infinite, "holds infinity, first in row 2"),
        (words, "holds <U1 values, wanted real numbers"),
        (four_axes, r"has shape \(2, 2, 2, 3\), wanted"),
        (workbook, r"unknown ending of .* '.xlsx'"),
        (empty_folder, "holds neither .png images nor IDX files"),
    ],
)
def test_what_cannot_be_read_is_answered_in_one_line(tmp_path, make, message):
    with pytest.raises(ud.UserError, match=message) as found:
        make(tmp_path).read()
    assert "\n" not in str(found.value)


def test_names_of_data_are_told_from_presets_and_configurations(tmp_path):
    assert is_data("mine.csv")
    assert is_data(str(tmp_path))
    assert not is_data("spiral-2pi")
    assert not is_data("folder/mine.toml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ud.UserError, match="there is no file or folder"):
        format_of(tmp_path / "x.csv")
