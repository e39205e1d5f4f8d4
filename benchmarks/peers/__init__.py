"""The neighbours of the field, in processes of their own with packages of their own (`benchmarks/peers.txt`)."""
