"""Growth, latency, start, memory, the gateway, the dead-letter tools and cost as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.table import OURS, Results, Table, mega, micro, milli


def growth(results: Results) -> list[Table]:
    """By messages in flight, and by relays."""
    found = results.get("growth")
    if not found:
        return []
    columns = ("in flight", "CPU µs", "SQS requests", "POSTs", "messages/s")
    in_flight = [
        (
            f"{one['in_flight']:,}",
            micro(one["cpu"]),
            f"{one['requests']:.3f}",
            f"{one['posts']:.4f}",
            f"{one['rate']:,.0f}",
        )
        for one in found["in_flight"]
    ]
    relays = [
        (str(one["relays"]), micro(one["cpu"]), f"{one['rate']:,.0f}") for one in found["relays"]
    ]
    return [
        Table("most messages in flight", columns, in_flight),
        Table("relays on one queue", ("relays", "CPU µs", "messages/s"), relays),
        _processes(found.get("processes", {"skipped": "not measured"})),
    ]


def _processes(found: Mapping[str, Any]) -> Table:
    if "skipped" in found:
        return Table("processes of one relay", ("", ""), [("skipped", found["skipped"])])
    cpus = found["cpus"]
    title = f"processes of one relay, on {cpus} CPU{'s' if cpus > 1 else ''} beside the servers'"
    rows = [
        (str(one["processes"]), micro(one["cpu"]), micro(one["rate"]), mega(one["peak"]))
        for one in found["rows"]
    ]
    return Table(title, ("processes", "CPU µs", "messages/s", "peak"), rows)


def resources(results: Results) -> list[Table]:
    """Idle latency, start and memory."""
    if not {"idle", "start", "memory"} <= results.keys():
        return []
    idle, start, memory = results["idle"], results["start"], results["memory"]
    modes = [
        ("added latency when idle, median", *(milli(idle[one][0]) for one in OURS)),
        ("added latency when idle, 99th percentile", *(milli(idle[one][1]) for one in OURS)),
        ("CPU from the start to the first delivery", *(f"{start[one]:.2f} s" for one in OURS)),
        ("in use when idle", *(mega(memory["idle"][one]) for one in OURS)),
    ]
    full, large, after = memory["full"], memory["large"], memory["after"]
    rest = [
        (f"CPU of {name}", f"{seconds:.2f} s")
        for name, seconds in start.items()
        if name not in OURS
    ]
    rest += [
        ("relay poll, peak with 1,000 messages of 10 KB in flight", mega(full["peak"])),
        (
            f"relay poll, peak with {mega(large['in_flight'])} of messages of 100 KB in flight",
            mega(large["peak"]),
        ),
        (f"relay poll, in use after {memory['messages'] // 10:,} messages", mega(after[0])),
        (f"relay poll, in use after {memory['messages']:,} messages", mega(after[-1])),
    ]
    return [Table("", ("", *OURS), modes), Table("", ("", ""), rest)]


def gateway(results: Results) -> list[Table]:
    """The gateway's intake and Inngest's, and the latency that the gateway adds."""
    found = results.get("gateway")
    if not found:
        return []
    theirs = found["inngest"].get("batches", {})
    rows = [
        (
            batch,
            micro(one["cpu"]),
            f"{1e6 / one['cpu']:,.0f}",
            f"{one['rate']:,.0f}",
            f"{theirs[batch]['rate']:,.0f}" if theirs else "not measured",
        )
        for batch, one in found["batches"].items()
    ]
    columns = ("events a request", "CPU µs an event", "events/s of a core", "events/s", "Inngest's")
    latency = found["latency"]
    return [
        Table(found["about"], columns, rows),
        Table(
            "one event at a time",
            ("", "median", "p99"),
            [
                ("SQS's own answer", milli(latency["sqs"]), ""),
                ("added by the gateway", milli(latency["added"]), milli(latency["p99"])),
            ],
        ),
    ]


def dead_letters(results: Results) -> list[Table]:
    """The dead-letter tools beside bare loops, and the console's views."""
    found = results.get("dead_letters")
    if not found:
        return []
    columns = ("", "time", "CPU", "SQS requests", "peak")
    steps = [
        (
            name,
            f"{one['seconds']:.1f} s",
            f"{one['cpu']:.1f} s",
            f"{one['requests']:,}",
            mega(one["peak"]),
        )
        for name, one in found["steps"].items()
    ]
    views = [(name, milli(seconds)) for name, seconds in found["views"].items()]
    return [
        Table(f"{found['messages']:,} dead letters of 2 KB", columns, steps),
        Table(
            f"views of the console, which has read a snapshot of them in {found['read']:.1f} s",
            ("", "time"),
            views,
        ),
    ]


def cost(results: Results) -> list[Table]:
    """Dollars per million messages."""
    rows = [
        (one["option"], f"{one['dollars']:.2f}", one["arithmetic"])
        for one in results.get("cost", ())
    ]
    return [Table("", ("a million messages", "$", "arithmetic"), rows)]


def requests(results: Results) -> list[Table]:
    """The SQS requests of a million messages by setting, of an idle month and of an outage."""
    return [Table(one["title"], one["columns"], one["rows"]) for one in results.get("requests", ())]
