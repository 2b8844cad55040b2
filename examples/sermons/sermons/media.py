"""Audio by command: espeak-ng speaks it, ffprobe measures it, ffmpeg cuts and encodes it.

Every function writes to a new place first and renames at the end. A step that dies half-way and is
tried again therefore never finds half a result.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import wave
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


class ToolFailed(Exception):
    """A program failed or is not installed. The text has its reason, such as a full disk."""


class InputRefused(ToolFailed):
    """The program ran to its end and did not accept its input."""


def missing() -> list[str]:
    """The programs that are not installed and without which no upload can be processed."""
    return [name for name in ("ffmpeg", "ffprobe") if shutil.which(name) is None]


def speak(script: Script, target: Path) -> None:
    """Read the script aloud into a WAV file.

    Raises:
        ToolFailed: there is no file, or only a part of it.
    """
    part = target.with_suffix(".part")
    _run("espeak-ng", "-v", script.voice, "-s", "140", "-w", str(part), "--", script.words)
    # espeak-ng does not notice a full disk.
    if not _is_whole(part):
        part.unlink(missing_ok=True)
        raise ToolFailed(f"espeak-ng wrote only a part of {target.name}: is the disk full?")
    part.replace(target)


def _is_whole(recording: Path) -> bool:
    """Whether a WAV file has as many samples as it says."""
    try:
        with wave.open(str(recording), "rb") as sound:
            size = sound.getnframes() * sound.getnchannels() * sound.getsampwidth()
    except (wave.Error, EOFError, FileNotFoundError):
        return False
    return recording.stat().st_size >= size


def duration(source: Path) -> float:
    """The length of a recording in seconds.

    Raises:
        NotAudio: it does not exist, or ffprobe finds no audio in it.
        ToolFailed: ffprobe is not installed, or was killed.
    """
    if not source.exists():
        raise NotAudio(f"{source.name} is not in the bucket")
    fields = "stream=codec_type:format=duration"
    arguments = ("-v", "error", "-show_entries", fields, "-of", "json", str(source))
    try:
        answer = json.loads(_run("ffprobe", *arguments))
    except InputRefused as error:
        why = str(error).removeprefix("ffprobe: ").removeprefix(f"{source}: ")
        raise NotAudio(f"{source.name} is not audio: {why}") from None
    kinds = [stream.get("codec_type") for stream in answer.get("streams", [])]
    if "audio" not in kinds:
        raise NotAudio(f"{source.name} has no audio stream")
    if "duration" not in answer.get("format", {}):
        raise NotAudio(f"{source.name} does not say how long it is")
    return float(answer["format"]["duration"])


def transcode(source: Path, target: Path) -> int:
    """Encode a recording for streaming: HLS chunks and one whole file. Return how many chunks.

    The directory `target` appears complete or not at all; one that exists is the result of an
    earlier attempt. What an attempt left that was killed is removed.

    Raises:
        ToolFailed: ffmpeg gave no stream.
    """
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".part-{target.name}-"
        for dead in target.parent.glob(f"{prefix}*"):
            shutil.rmtree(dead, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
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
    name = command[0]
    try:
        done = subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT)  # noqa: S603 - fixed programs, no shell
    except FileNotFoundError:
        raise ToolFailed(f"{name} is not installed") from None
    except subprocess.TimeoutExpired:
        raise ToolFailed(f"{name} took more than {_TIMEOUT:g} s") from None
    except subprocess.CalledProcessError as error:
        if error.returncode < 0:
            raise ToolFailed(f"{name} was ended by signal {-error.returncode}") from None
        raise InputRefused(f"{name}: {_reason(error)}") from None
    return done.stdout


def _reason(error: subprocess.CalledProcessError) -> str:
    """The end of what it printed: the last line alone often names only what followed."""
    lines = error.stderr.decode(errors="replace").strip().splitlines()
    return "; ".join(lines[-3:]) or f"ended with {error.returncode}"
