"""Destinations: one orchestrator a file, each behind `relay.message.Destination`."""
