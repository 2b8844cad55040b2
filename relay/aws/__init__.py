"""What the relay says to AWS. No other package imports aiobotocore."""
