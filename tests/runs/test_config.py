import pytest
from hypothesis import given
from hypothesis import strategies as st

from undiffuse import UserError
from undiffuse.runs import config


@pytest.mark.parametrize(
    ("preset", "s", "lr", "epochs", "hidden", "batch", "n", "turns"),
    [("spiral-2pi", 0.1, 0.01, 20, 900, 100, 10_000, 1.0), ("spiral-3pi", 1.0, 0.005, 30, 1000, 50, 20_000, 1.5)],
)
def test_thesis_presets_are_table_2(preset, s, lr, epochs, hidden, batch, n, turns):
    c = config.load(preset)
    d, t, k = c.diffusion, c.training, c.network
    assert (d.T, d.schedule, d.beta_1, d.beta_T, d.noise_scale) == (1000, "linear", 1e-4, 0.02, s)
    assert (t.learning_rate, t.epochs, t.batch, k.hidden, c.data.n, c.data.turns) == (
        lr,
        epochs,
        batch,
        hidden,
        n,
        turns,
    )
    assert (t.order, t.loss, t.decay) == ("independent", "simple", "none")
    assert (k.prediction, k.skip, k.activation, k.tying, k.start) == ("xi", "none", "relu", "untied", "uniform")


@pytest.mark.parametrize("name", config.presets())
def test_every_preset_survives_the_way_to_disk_and_back(name):
    c = config.load(name)
    assert c.name == name
    assert config.loads(c.to_toml(), "disk") == c


@given(st.integers(2, 60), st.integers(1, 25), st.lists(st.integers(1, 60), max_size=4, unique=True))
def test_blocks_hold_every_time_once_and_respect_ranges(T, block, cuts):
    edges = sorted(t for t in cuts if t <= T)
    ranges = [{"first": a, "last": b} for a, b in zip(edges[::2], edges[1::2], strict=False)]
    c = config.validate({"diffusion": {"T": T}, "training": {"block": block}, "times": ranges}, "test")
    blocks = c.blocks()
    assert [t for first, last in blocks for t in range(first, last + 1)] == list(range(1, T + 1))
    assert all(last - first < block for first, last in blocks)
    for part in ranges:
        assert all((part["first"] <= first) == (part["first"] <= last) for first, last in blocks)
        assert all((first <= part["last"]) == (last <= part["last"]) for first, last in blocks)


def test_ranges_replace_settings_inside_them_only():
    c = config.validate({"times": [{"first": 1, "last": 5, "learning_rate": 1e-4}]}, "test")
    assert [c.training_at(t).learning_rate for t in (1, 5, 6)] == [1e-4, 1e-4, 0.01]


def test_settings_are_replaced_by_key():
    c = config.load("spiral-2pi", ["training.epochs=5", "network.skip=gaussian", "data.turns=2.5"], seed=7)
    assert (c.training.epochs, c.network.skip, c.data.turns, c.seed) == (5, "gaussian", 2.5, 7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.epoch=5", r"unknown key in \[training\] 'epoch'; did you mean 'epochs'"),
        ("trainin.epochs=5", "unknown key .*did you mean 'training'"),
        ("training.epochs=many", "training.epochs = 'many'"),
        ("training.epochs=0", "training.epochs = 0"),
        ("training.decay=cosin", "training.decay = 'cosin'.*'cosine'"),
        ("diffusion.T=1", "diffusion.T = 1"),
        ("diffusion.beta_T=1.5", "diffusion.beta_T = 1.5"),
        ("diffusion.beta_1=0", "diffusion.beta_1 = 0"),
        ("training.order=continuation", "warm_epochs is given exactly when"),
        ("training.epochs", "wanted section.key=value"),
        ("name.x=1", "'name' is a value, not a section"),
        ("seed=-1", "seed = -1"),
        ("data.name=spirals", "data"),
    ],
)
def test_wrong_settings_get_one_clear_line(change, message):
    with pytest.raises(UserError, match=message) as caught:
        config.load("spiral-2pi", [change])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ([{"first": 5, "last": 2000}], "times 5..2000 do not lie inside 1..1000"),
        ([{"first": 1, "last": 9}, {"first": 9, "last": 12}], "times 9..12"),
    ],
)
def test_impossible_ranges_are_refused(ranges, message):
    with pytest.raises(UserError, match=message):
        config.validate({"times": ranges}, "test")


def test_unknown_preset_names_the_nearest():
    with pytest.raises(UserError, match="unknown preset 'spiral2pi'; did you mean 'spiral-2pi'"):
        config.load("spiral2pi")


def test_a_file_of_data_in_the_place_of_a_preset_is_told_how_to_become_one(tmp_path):
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"mine.csv is no preset or .toml; `undiffuse run FILE --save-preset`"):
        config.load(tmp_path / "mine.csv")


def test_broken_toml_says_where(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("[data\n")
    with pytest.raises(UserError, match=r"c.toml is not valid TOML: .*line 1"):
        config.load(path)


def test_missing_file_says_so(tmp_path):
    with pytest.raises(UserError, match="there is no configuration file"):
        config.load(tmp_path / "none.toml")
