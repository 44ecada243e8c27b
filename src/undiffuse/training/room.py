"""How many networks stand side by side: a setting on a processor, what fits in its memory on a GPU."""

from __future__ import annotations

from undiffuse.networks.network import Architecture
from undiffuse.runs.config import Block
from undiffuse.runs.sections import TrainingSection
from undiffuse.support import gpu
from undiffuse.support.errors import UserError
from undiffuse.support.memory import in_bytes

_SHARE = 0.8  # of the free memory: what libraries need beside it is not known
_FLOAT = 4


def network_bytes(training: TrainingSection, architecture: Architecture, train: int, held_out: int) -> int:
    """Bytes that a GPU holds for one network while it is trained.

    Weights, both moments, gradients in two precisions, copies for products and an average; inputs, targets and noise
    of a pass with what is made on the way, in words of 32 bits; hidden activities of a minibatch and their gradients.

    Parameters
    ----------
    training : TrainingSection
    architecture : Architecture
    train, held_out : int
        Number of samples.
    """
    N, M = architecture.width, architecture.hidden
    arrays = 7 + (training.average is not None)
    samples = 6 * train * N + 4 * held_out * N
    if training.targets != "sample" or training.blends:
        samples += 2 * train * N + 2 * int(training.posterior_share * train) * N
    orders = 4 * 2 * train  # of 64 bits
    batch = min(training.batch, train)
    return _FLOAT * (arrays * architecture.size + samples + orders + 4 * batch * (M + N))


def at_once(
    training: TrainingSection, architecture: Architecture, block: Block, samples: tuple[int, int], device: str
) -> int:
    """How many independent networks of a block fit in the GPU's free memory.

    Parameters
    ----------
    training : TrainingSection
    architecture : Architecture
    block : Block
        Of which there are no more than its own.
    samples : (int, int)
        Training samples and held-out ones.
    device : {"cpu", "cuda"}

    Raises
    ------
    UserError
        If not even one fits.
    """
    most = block.last - block.first + 1 if training.order == "independent" else 1
    if device != gpu.CUDA:
        return min(most, training.at_once)
    each, free = network_bytes(training, architecture, *samples), gpu.free_bytes()
    shared = _FLOAT * sum(samples) * architecture.width
    fitting = (int(_SHARE * free) - shared) // each
    if fitting < 1:
        raise UserError(
            f"device 'cuda': training one network takes {in_bytes(each + shared)}, the GPU has {in_bytes(free)} free; "
            "use --device cpu, or lower network.hidden"
        )
    return min(most, fitting)
