"""Shakespeare in the formats of other data, for experiments that have no data of their own."""
