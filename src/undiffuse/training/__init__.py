"""Training: a configuration cut into blocks of times, each block trained on its own."""

from undiffuse.training.trainer import final_errors, overfit, run_errors, train_bank, train_run
from undiffuse.training.workers import WorkerError

__all__ = ["WorkerError", "final_errors", "overfit", "run_errors", "train_bank", "train_run"]
