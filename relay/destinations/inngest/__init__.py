"""The Inngest destination: the event API, what its answers mean, and confirm mode."""
