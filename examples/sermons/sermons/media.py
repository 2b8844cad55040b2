"""Audio by command: espeak-ng speaks it, ffprobe measures it, ffmpeg cuts and encodes it.

Every function writes to a new place first and renames at the end. A step that dies half-way and is
tried again therefore never finds half a result.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from sermons.texts import Script

CHUNK = 2
"""Seconds of a streamed chunk. Real sermons would use six or more."""

RATE = 16_000
"""Samples per second that the recogniser expects."""

PLAYLIST = "index.m3u8"
WHOLE = "audio.m4a"

_TIMEOUT = 600.0
"""Seconds after which a child process is killed, so that a stuck one frees its place."""


class NotAudio(Exception):
    """The file is not a recording. Trying again cannot help."""


def speak(script: Script, target: Path) -> None:
    """Read the script aloud into a WAV file."""
    part = target.with_suffix(".part")
    _run("espeak-ng", "-v", script.voice, "-s", "140", "-w", str(part), script.words)
    part.replace(target)


def duration(source: Path) -> float:
    """The length of a recording in seconds.

    Raises:
        NotAudio: ffprobe finds no audio in it.
    """
    fields = "stream=codec_type:format=duration"
    arguments = ("-v", "error", "-show_entries", fields, "-of", "json", str(source))
    try:
        answer = json.loads(_run("ffprobe", *arguments))
    except subprocess.CalledProcessError as error:
        why = _last_line(error).removeprefix(f"{source}: ")
        raise NotAudio(f"{source.name} is not audio: {why}") from None
    kinds = [stream.get("codec_type") for stream in answer.get("streams", [])]
    if "audio" not in kinds or "duration" not in answer.get("format", {}):
        raise NotAudio(f"{source.name} has no audio stream")
    return float(answer["format"]["duration"])


def transcode(source: Path, target: Path) -> int:
    """Encode a recording for streaming: HLS chunks and one whole file. Return how many chunks.

    The directory `target` appears complete or not at all; one that exists is the result of an
    earlier attempt.
    """
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=target.parent))
        try:
            _encode(source, part)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return len(list(target.glob("*.m4s")))


def samples(source: Path, start: float, seconds: float) -> bytes:
    """A piece of a recording as 16-bit mono samples at `RATE`."""
    piece = ("-ss", str(start), "-t", str(seconds), "-i", str(source))
    return _ffmpeg(*piece, "-ar", str(RATE), "-ac", "1", "-f", "s16le", "-")


def _encode(source: Path, target: Path) -> None:
    audio = ("-map", "0:a:0", "-c:a", "aac", "-b:a", "48k")
    hls = ("-f", "hls", "-hls_time", str(CHUNK), "-hls_playlist_type", "vod")
    names = ("-hls_segment_type", "fmp4", "-hls_segment_filename", str(target / "%05d.m4s"))
    whole, playlist = str(target / WHOLE), str(target / PLAYLIST)
    _ffmpeg("-i", str(source), *audio, whole, *audio, *hls, *names, playlist)


def _ffmpeg(*arguments: str) -> bytes:
    """One thread for each: how many run at once is decided by the functions' concurrency."""
    return _run("ffmpeg", "-nostdin", "-v", "error", "-y", "-threads", "1", *arguments)


def _run(*command: str) -> bytes:
    done = subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT)  # noqa: S603 - fixed programs, no shell
    return done.stdout


def _last_line(error: subprocess.CalledProcessError) -> str:
    lines = error.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"ffprobe ended with {error.returncode}"
