"""The libraries that are measured, each at its best on one machine's CPU; one module each, with a class `Peer`.

``Peer(work, threads)`` takes the work's weights and data. Its method named as the work's table does one call of it:
``step()``, ``infer()`` or ``epoch()``. ``outputs()`` predicts the first rows, so that the harness sees that all peers
have done the same.
"""

NAMES = ("steepest", "numpy", "sklearn", "torch", "torch-compiled", "jax")
