"""Several processes that do the work of one: see `relay.supervisor.supervisor`."""
