"""Keys that are kept in Secrets Manager or Parameter Store: whether they can be looked up."""

from __future__ import annotations

from relay.aws.errors import QueueError
from relay.aws.secrets import Secret, parse_secret
from relay.doctor.finding import Finding, Statement, ok


async def of_secret(setting: str, reference: str) -> tuple[Finding, str | None]:
    """Look it up as the relay does; the value, or None, is for the checks that need it."""
    place = parse_secret(reference)
    check = f"secret.{setting.lower().removeprefix('relay_').removesuffix('_secret')}"
    check = check.replace("_", "-")
    try:
        value = await Secret(reference).value()
    except QueueError as error:
        refused = error.kind in ("denied", "kms")
        resource = place.name if place.name.startswith("arn:") else f"the ARN of {place.name}"
        actions = (place.permission, *(("kms:Decrypt",) if error.kind == "kms" else ()))
        finding = Finding(
            check=check,
            state="fail",
            found=error.sentence,
            why="without the key no event can be sent or read back: the relay halts",
            fix="grant the statement" if refused else f"correct {setting}, or the secret",
            statement=Statement(actions, resource) if refused else None,
        )
        return finding, None
    return ok(check, "looked up"), value
