"""Dead letters on a person's desk: looked at in snapshots, brought back so that nothing is lost."""
