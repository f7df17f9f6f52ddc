"""How `./run_all.sh` runs a grid of cells, here or on a cluster, and how it gets a Python to do it with."""
