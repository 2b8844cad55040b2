"""The demonstration: real traffic through the whole relay, and a judge who balances the books."""
