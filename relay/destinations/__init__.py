"""Destinations: one orchestrator a module, each behind `relay.model.destination.Destination`.

A destination that takes one event a request is a `Starter` in `single_event`; `argo` is an example.
The settings open it in `relay.app.destinations`.
"""
