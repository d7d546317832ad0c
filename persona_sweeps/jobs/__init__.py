"""Groups as jobs: each in a process of its own, here or on a cluster, watched until every run has a record."""
