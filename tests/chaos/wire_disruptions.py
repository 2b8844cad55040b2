"""The disruptions of a run that are made in the proxies: damaged, slow and wrong exchanges."""

from __future__ import annotations

import random
from collections.abc import Mapping

from tests.chaos.environment import Disruption, Environment
from tests.chaos.proxy import Damage, Exchange, Phase, Replaced


def proxied(name: str, phase: Phase, damage: Damage) -> Disruption:
    """Damage some of the next exchanges through a proxy."""

    async def disruption(env: Environment, chance: random.Random) -> None:
        left = chance.randint(1, 6)

        async def intercept(_exchange: Exchange, at: Phase) -> Damage | None:
            nonlocal left
            if at is not phase or left == 0 or chance.random() < 0.5:
                return None
            left -= 1
            return damage

        env.proxies[name].intercept = intercept

    return disruption


def _dying_on_reuse(name: str) -> Disruption:
    """Some of the next requests find that the server has closed their connection meanwhile."""

    async def disruption(env: Environment, chance: random.Random) -> None:
        left = chance.randint(2, 12)

        async def intercept(exchange: Exchange, at: Phase) -> Damage | None:
            nonlocal left
            if at is not Phase.REQUEST or left == 0 or not exchange.reused:
                return None
            left -= 1
            return chance.choice((Damage.CLOSED, Damage.RESET))

        env.proxies[name].intercept = intercept

    return disruption


OTHER_JSON = (
    b"null",
    b"[]",
    b"7",
    b'"text"',
    b'{"Messages": null, "Successful": null, "Failed": null, "Attributes": null}',
    b'{"Messages": {}, "Successful": {}, "Failed": {}, "Attributes": []}',
    b'{"Messages": [null, 7, {}], "Successful": [null, {}], "Failed": ["x"]}',
    b'{"Messages": [{"MessageId": 7, "Body": [], "ReceiptHandle": null}], "Successful": 1}',
    b"<html>",
)
"""What is no answer of SQS's."""


def other_json(name: str) -> Disruption:
    """SQS carries out some of the next requests, and the answers have JSON of other types."""

    async def disruption(env: Environment, chance: random.Random) -> None:
        left = chance.randint(1, 6)

        async def intercept(_exchange: Exchange, at: Phase) -> Replaced | None:
            nonlocal left
            if at is not Phase.RESPONSE or left == 0 or chance.random() < 0.5:
                return None
            left -= 1
            return Replaced(chance.choice(OTHER_JSON))

        env.proxies[name].intercept = intercept

    return disruption


def slow(name: str) -> Disruption:
    """Delay some of the next responses through a proxy, some of them beyond the timeout."""

    async def disruption(env: Environment, chance: random.Random) -> None:
        left = chance.randint(2, 8)

        async def intercept(_exchange: Exchange, at: Phase) -> Damage | None:
            nonlocal left
            if at is Phase.RESPONSE and left > 0:
                left -= 1
                await env.clock.sleep(chance.uniform(1, 35))
            return None

        env.proxies[name].intercept = intercept

    return disruption


WIRE: Mapping[str, Disruption] = {
    "resets before Inngest": proxied("Inngest", Phase.REQUEST, Damage.RESET),
    "resets after Inngest": proxied("Inngest", Phase.RESPONSE, Damage.RESET),
    "cuts after Inngest": proxied("Inngest", Phase.RESPONSE, Damage.CUT),
    "slow connection to Inngest": slow("Inngest"),
    "resets before SQS": proxied("SQS", Phase.REQUEST, Damage.RESET),
    "resets after SQS": proxied("SQS", Phase.RESPONSE, Damage.RESET),
    "cuts after SQS": proxied("SQS", Phase.RESPONSE, Damage.CUT),
    "slow connection to SQS": slow("SQS"),
    "SQS answers with other JSON": other_json("SQS"),
    "connections to SQS die on reuse": _dying_on_reuse("SQS"),
    "connections to Inngest die on reuse": _dying_on_reuse("Inngest"),
}
