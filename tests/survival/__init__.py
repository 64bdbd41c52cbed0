"""What must survive: real processes, killed, cut off and emptied, and afterwards the ledger is asked."""
