"""The models that we ship, opened in ONNX Runtime."""

from __future__ import annotations

import onnxruntime

from semcompress_plugin.evaluators._model import model_bytes

ERRORS_ONLY = 3


def load_session(name: str, threads: int = 1) -> onnxruntime.InferenceSession:
    """Open the model ``name`` on the CPU, once its bytes have been found to be those that were shipped.

    ``threads`` is how many threads one call of ``run`` may use; a session may be shared between threads.
    Raises :class:`ModelError` when a file is missing, unreadable or does not have the recorded SHA-256.
    """
    model = model_bytes(name)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    # Opened from the bytes that were verified, not from the path: nobody can exchange the file in between.
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
