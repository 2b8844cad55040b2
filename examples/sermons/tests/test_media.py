"""The heavy work itself, on recordings made on the spot."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

import pytest

from sermons import embedding, media, recognition
from sermons.studio import ProcessStudio, pieces
from sermons.texts import scripts, slug

pytestmark = pytest.mark.usefixtures("programs")
SCRIPT = next(script for script in scripts() if script.slug == "the-lamp-north-chapel")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "lamp.wav"
    media.speak(SCRIPT, path)
    return path


@contextmanager
def limited_file_size(size: int) -> Iterator[None]:
    """Let no file of this process and its children grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_recording_becomes_chunks_a_playlist_and_a_whole_file(
    recording: Path, tmp_path: Path
) -> None:
    stream = tmp_path / "streams" / "lamp"
    chunks = media.transcode(recording, stream)
    assert chunks == len(list(stream.glob("*.m4s"))) >= 2
    assert (stream / media.PLAYLIST).read_text().endswith("#EXT-X-ENDLIST\n")
    assert media.duration(stream / media.WHOLE) == pytest.approx(media.duration(recording), abs=0.1)
    assert media.duration(stream / media.PLAYLIST) == pytest.approx(
        media.duration(recording), abs=0.2
    )


def test_transcoding_again_keeps_the_first_result(recording: Path, tmp_path: Path) -> None:
    chunks = media.transcode(recording, tmp_path / "stream")
    recording.unlink()
    assert media.transcode(recording, tmp_path / "stream") == chunks


def test_transcoding_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    source = tmp_path / "notes.wav"
    source.write_text("not a recording")
    target = tmp_path / "streams" / "notes"
    with pytest.raises(Exception, match="ffmpeg"):
        media.transcode(source, target)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not a recording", b"RIFF\x00\x00\x00\x00WAVE"])
def test_what_is_no_recording_is_named(tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "photo.wav"
    source.write_bytes(content)
    with pytest.raises(media.NotAudio, match=r"photo\.wav"):
        media.duration(source)


def test_a_recording_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(media.NotAudio, match=r"gone\.wav is not in the bucket"):
        media.duration(tmp_path / "gone.wav")


def test_a_program_that_is_not_installed_is_no_fault_of_the_recording(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert media.missing() == ["ffmpeg", "ffprobe"]
    with pytest.raises(media.ToolFailed, match="ffprobe is not installed"):
        media.duration(recording)


def test_a_program_that_is_killed_is_no_fault_of_the_recording(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ffprobe = tmp_path / "ffprobe"
    ffprobe.write_text("#!/bin/sh\nkill -9 $$\n")
    ffprobe.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(media.ToolFailed, match="ffprobe was ended by signal 9"):
        media.duration(recording)


def test_an_encoder_that_cannot_write_leaves_nothing_behind(
    recording: Path, tmp_path: Path
) -> None:
    target = tmp_path / "streams" / "lamp"
    with limited_file_size(4_096), pytest.raises(media.ToolFailed, match="ffmpeg"):
        media.transcode(recording, target)
    assert list(target.parent.iterdir()) == []


def test_a_recording_that_did_not_fit_on_the_disk_is_no_upload(tmp_path: Path) -> None:
    with limited_file_size(4_096), pytest.raises(media.ToolFailed, match="espeak-ng"):
        media.speak(SCRIPT, tmp_path / "lamp.wav")
    assert not (tmp_path / "lamp.wav").exists()


def test_what_a_killed_attempt_left_is_removed(recording: Path, tmp_path: Path) -> None:
    dead, other = tmp_path / ".part-lamp-dead", tmp_path / ".part-other-alive"
    for directory in (dead, other):
        directory.mkdir()
        (directory / "00000.m4s").write_bytes(b"half")
    media.transcode(recording, tmp_path / "lamp")
    assert not dead.exists()
    assert other.exists()


def test_the_recogniser_writes_down_what_was_said(recording: Path) -> None:
    assert recognition.recognise(recording, 0, 30) == SCRIPT.words


def test_a_piece_after_the_end_is_silence_and_not_an_error(recording: Path) -> None:
    assert recognition.recognise(recording, 60, 30) == ""


def test_sentences_that_mean_the_same_are_near_each_other() -> None:
    question, near, far = (
        embedding.vector(embedding.embed(text))
        for text in ("an animal went missing", "the lost sheep", "a merchant buys a pearl")
    )
    assert float(question @ near) > float(question @ far) + 0.2


def test_pieces_cover_a_recording_of_any_length() -> None:
    assert pieces(0.0, 30.0) == [0.0]
    assert pieces(30.0, 30.0) == [0.0]
    assert pieces(61.0, 30.0) == [0.0, 30.0, 60.0]


async def test_a_child_that_is_killed_fails_its_step_and_the_next_attempt_succeeds(
    recording: Path,
) -> None:
    studio = ProcessStudio(1)
    try:
        assert await studio.measure(recording) > 0
        [child] = studio.children()
        os.kill(child, signal.SIGKILL)
        with pytest.raises(BrokenProcessPool):
            # The pool notices the death of its child with this call or has noticed it before.
            await studio.measure(recording)
        assert await studio.measure(recording) > 0
    finally:
        studio.close()


def test_a_title_in_any_alphabet_gets_a_safe_name_or_a_clear_refusal() -> None:
    assert slug("Über die Lämmer: Teil 2") == "uber-die-lammer-teil-2"
    assert slug(f"{'a' * 79} b") == "a" * 79
    with pytest.raises(ValueError, match="needs a letter from a to z"):
        slug("Проповедь")


def test_every_script_has_a_name_that_is_safe_in_a_path() -> None:
    names = [script.slug for script in scripts()]
    assert len(set(names)) == len(names) == 50
