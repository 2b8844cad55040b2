"""Where the document of event keys is: a file, or a secret in AWS."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from fcntl import LOCK_EX, flock
from pathlib import Path

from relay.aws.secrets import PARAMETER, parse_secret, read_whole, write_whole
from relay.output.private_files import append_private, create_private


class KeyDocument:
    """The document's place. All methods block.

    Args:
        reference: a path, or the ARN of a secret or parameter, or `ssm:` and a parameter's name.

    Attributes:
        reference: the same.
        stored: whether it is in AWS.
    """

    def __init__(self, reference: str) -> None:
        self.reference = reference
        self.stored = reference.startswith(("arn:", PARAMETER))

    def read(self) -> bytes:
        """The text.

        Raises:
            OSError: the file cannot be read, or there is none.
            AwsError: the secret cannot be read.
        """
        if self.stored:
            return read_whole(parse_secret(self.reference)).encode()
        return Path(self.reference).read_bytes()

    def write(self, text: str) -> None:
        """Replace the text. A reader sees the old or the new one, never a part.

        A file keeps its owner: the gateway may run as another user than the command.

        Raises:
            OSError: the file cannot be written.
            AwsError: the secret cannot be written.
        """
        if self.stored:
            write_whole(parse_secret(self.reference), text)
            return
        path = Path(self.reference)
        new = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            with create_private(new) as file:
                _give_to_owner_of(path, file.fileno())
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands from changing a file meanwhile. A secret has no such lock."""
        if self.stored:
            yield
            return
        path = Path(self.reference)
        with append_private(path.with_name(f"{path.name}.lock")) as lock:
            flock(lock, LOCK_EX)
            yield


def _give_to_owner_of(path: Path, descriptor: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        owner = path.stat().st_uid
        if owner != os.fstat(descriptor).st_uid:
            os.chown(descriptor, owner, -1)
