"""One picture: a Reference and a rule in, Decisions out. Never prints, never reads or writes a file.

The engine is a generator: it yields rounds of tasks (encode this, observe that, compare those) and is sent their
results, in the same order. Whoever drives it chooses where tasks run: the runner spreads the tasks of many pictures
over threads and batches; :func:`drive` runs them one after the other.
"""

from semcompress_plugin.engine._decide import Decision, Measurement, decide, measure
from semcompress_plugin.engine._hunt import ceiling
from semcompress_plugin.engine._losses import Losses
from semcompress_plugin.engine._tasks import Candidate, Compare, Encode, EncodingFailed, Observe, Rounds, Task, drive

__all__ = [
    "Candidate",
    "Compare",
    "Decision",
    "Encode",
    "EncodingFailed",
    "Losses",
    "Measurement",
    "Observe",
    "Rounds",
    "Task",
    "ceiling",
    "decide",
    "drive",
    "measure",
]
