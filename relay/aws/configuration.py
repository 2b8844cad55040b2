"""What AWS's variables and files configure on this machine.

Only botocore reads the files. Where there are none, as in Lambda and in most containers, it is not
imported for them: that takes 12 MB and a third of the CPU of a start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol

_FILES = {
    "AWS_CONFIG_FILE": "~/.aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
}
"""The variables that name the files, and where these are otherwise."""

_PROFILES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")

_VARIABLES = {
    "region": "AWS_DEFAULT_REGION",
    "ca_bundle": "AWS_CA_BUNDLE",
    "use_fips_endpoint": "AWS_USE_FIPS_ENDPOINT",
    "use_dualstack_endpoint": "AWS_USE_DUALSTACK_ENDPOINT",
}


class Configuration(Protocol):
    """The part of a session of botocore that the relay uses."""

    def get_config_variable(self, name: str) -> Any:
        """A value by botocore's name for it, None if it is not configured."""
        ...

    def get_scoped_config(self) -> Mapping[str, Any]:
        """The profile's entries in AWS's files."""
        ...


class EnvironmentOnly:
    """The configuration of a machine without AWS's files."""

    def get_config_variable(self, name: str) -> str | None:
        """The value of the variable for this setting."""
        return os.environ.get(_VARIABLES[name])

    def get_scoped_config(self) -> Mapping[str, Any]:
        """Nothing: there is no profile."""
        return {}


def read_configuration(profile: str | None) -> Configuration:
    """The configuration of a profile; None for the one of the environment, if any.

    Raises:
        BotoCoreError: the profile does not exist, or AWS's files cannot be read.
    """
    if profile is None and not any(map(os.environ.get, _PROFILES)) and not _has_files():
        return EnvironmentOnly()
    from botocore.session import (  # type: ignore[import-untyped]  # noqa: PLC0415 - ships no types, see above
        Session,
    )

    session = Session(profile=profile)
    # With region and endpoint in the environment nothing else would check the profile.
    session.get_scoped_config()
    found: Configuration = session
    return found


def _has_files() -> bool:
    return any(
        os.path.exists(os.path.expanduser(os.environ.get(name) or default))  # noqa: PTH110, PTH111 - a home may be unknown
        for name, default in _FILES.items()
    )
