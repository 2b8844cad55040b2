"""What operators do by hand: check a deployment, watch it, trace an event, send messages."""
