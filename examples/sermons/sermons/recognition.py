"""Speech to text with PocketSphinx, whose acoustic model comes in its package.

A general language model gets half of a synthetic voice's words wrong. The recogniser therefore
knows only the words of the example's own texts, as a dictation system for a narrow field would.
"""

from __future__ import annotations

import io
import tempfile
from functools import cache
from pathlib import Path

import pocketsphinx  # type: ignore[import-untyped]  # ships no types
from pocketsphinx.lm import ArpaBoLM  # type: ignore[import-untyped]  # ships no types

from sermons import media
from sermons.texts import corpus

_MODEL_WEIGHT = 10
"""How much the language model counts beside the sound; 6.5 is PocketSphinx's default."""


def recognise(source: Path, start: float, seconds: float) -> str:
    """Write down what is said in a piece of a recording; empty if nothing was understood."""
    samples = media.samples(source, start, seconds)
    if not samples:
        return ""
    decoder = _decoder()
    decoder.start_utt()
    decoder.process_raw(samples, full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis else ""


@cache
def _decoder() -> pocketsphinx.Decoder:
    """One decoder for each process: loading the model takes longer than a short sermon."""
    with tempfile.TemporaryDirectory() as directory:
        model, dictionary = Path(directory, "sermons.arpa"), Path(directory, "sermons.dict")
        _write_model(model)
        _write_dictionary(dictionary)
        return pocketsphinx.Decoder(
            lm=str(model),
            dict=str(dictionary),
            lw=_MODEL_WEIGHT,
            samprate=media.RATE,
            loglevel="FATAL",
        )


def _write_model(path: Path) -> None:
    model = ArpaBoLM(add_start=True)
    model.read_corpus(io.StringIO("\n".join(corpus()) + "\n"))
    model.compute()
    model.write_file(str(path))


def _write_dictionary(path: Path) -> None:
    """The pronunciations of the words that occur, out of the package's 130,000."""
    words = {word for sentence in corpus() for word in sentence.split()}
    whole = Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"))
    lines = whole.read_text(encoding="utf-8").splitlines()
    known = [line for line in lines if line.partition(" ")[0].partition("(")[0] in words]
    path.write_text("\n".join(known) + "\n", encoding="utf-8")
