"""Commands about images: reconstruct, inpaint, uturn, perceptron."""

from __future__ import annotations

from undiffuse.cli.answers import Json, answer, measured, say
from undiffuse.cli.tables import Table
from undiffuse.metrics.reconstruction import Score
from undiffuse.studies import inpaint as inpainting
from undiffuse.studies import perceptron as classification
from undiffuse.studies import reconstruct as reconstruction
from undiffuse.studies import uturn as turning
from undiffuse.support.progress import progress


def reconstruct(settings: reconstruction.Settings, *, json: Json = False) -> None:
    """Diffuse held-out images to time t and bring each back several times."""
    with progress("bringing back", "steps") as update:
        result = reconstruction.run(settings, update, say)
    answer(result, json, [_score_line(result), f"spread of repeats {result.spread:.4f}", f"in {result.out}"])


def inpaint(settings: inpainting.Settings, *, json: Json = False) -> None:
    """Destroy a part of held-out images and fill it in again."""
    with progress("filling in", "steps") as update:
        result = inpainting.run(settings, update, say)
    particles = (
        [
            f"effective particles {result.effective:.1f} of {settings.particles} at the end, "
            f"{result.lowest_effective:.1f} at the lowest; descendants of {result.survivors:.1f}"
        ]
        if result.effective is not None
        else []
    )
    ceilings = [f"{name}: {_score_line(score)}" for name, score in result.ceilings.items()]
    answer(result, json, [_score_line(result), *particles, *ceilings, f"in {result.out}"])


def uturn(settings: turning.Settings, *, json: Json = False) -> None:
    """Diffuse held-out images to t and back: class kept, pixel error and spread, beside the exact denoisers."""
    with progress("turning", "curves' points") as update:
        result = turning.run(settings, update, say)
    curves = result.curves.values()
    rows = [
        [str(t), *(measured(curve["kept"][i], curve["kept_stderr"][i]) for curve in curves)]
        for i, t in enumerate(result.t)
    ]
    answer(result, json, [Table(["class kept from t", *result.curves], rows)])


def perceptron(settings: classification.Settings = classification.Settings(), *, json: Json = False) -> None:  # noqa: B008
    """Train a perceptron to tell two digits apart, Annex II: passes, errors, and the picture of its weights."""
    with progress("training in random orders", "orders") as update:
        result = classification.run(settings, update, say)
    first, second = result.digits
    spread = result.random_orders
    lines = [
        f"{first} against {second}: {result.training_images} training, {result.test_images} test images",
        f"files' own order: {result.passes} passes, mistakes in each {list(result.mistakes)}, "
        f"{result.test_errors} test errors",
    ]
    if spread.passes:
        lines.append(
            f"{len(spread.passes)} random orders: {min(spread.passes)}..{max(spread.passes)} passes, "
            f"{min(spread.test_errors)}..{max(spread.test_errors)} test errors"
        )
    answer(result, json, lines)


def _score_line(score: Score) -> str:
    return (
        f"class kept {measured(score.kept, score.kept_stderr)}, "
        f"rms pixel error {measured(score.pixel_error, score.pixel_error_stderr, 4)} of the pixel range"
    )
