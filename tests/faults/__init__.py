"""Faults: what is promised, while parts of the chain are stopped, killed, paused and cut off from each other.

`scripts/faults` runs them and writes docs/explanation/reliability.md.
"""
