"""Training: a configuration cut into blocks of times, each block trained on its own."""

from undiffuse.support.executors import WorkerError
from undiffuse.training.execution import Execution
from undiffuse.training.trainer import Overfit, final_errors, run_errors, train_bank, train_run

__all__ = ["Execution", "Overfit", "WorkerError", "final_errors", "run_errors", "train_bank", "train_run"]
