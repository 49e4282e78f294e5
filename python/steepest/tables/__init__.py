"""Tables: raw columns to the rows a network wants, targets and back, and rows held out."""

from ._columns import DataWarning
from ._reader import read, read_batches
from .encoder import TableEncoder
from .features import BinaryFeatures, LabelFeatures, NumberFeatures, TimeFeatures
from .split import split_groups, split_latest, split_rows
from .targets import TASKS, Classes, Task, Units, infer_task

__all__ = [
    "TASKS",
    "BinaryFeatures",
    "Classes",
    "DataWarning",
    "LabelFeatures",
    "NumberFeatures",
    "TableEncoder",
    "Task",
    "TimeFeatures",
    "Units",
    "infer_task",
    "read",
    "read_batches",
    "split_groups",
    "split_latest",
    "split_rows",
]
