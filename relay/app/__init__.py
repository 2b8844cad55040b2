"""The composition root: the only place that knows the settings and all of the parts."""
