"""One training over several processes, on engines that are there already.

`Trainer.fit` takes a `comm`: any object with ``rank``, ``size``, ``allreduce(array)`` and ``broadcast(array)``, and
mpi4py's communicator or torch.distributed's process group as they are. `run_on` starts ranks on the workers of Dask,
Ray or Spark, and gives each a comm; `Hub` and `connect` do so for processes of your own. Within `together` the
networks of an estimator are shared out.
"""

from ._comm import Comm, RankError, check_comm
from ._cost import CostModel
from ._engines import run_on
from ._hub import Hub, connect
from ._together import together

__all__ = ["Comm", "CostModel", "Hub", "RankError", "check_comm", "connect", "run_on", "together"]
