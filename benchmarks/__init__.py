"""What a launch costs, here and with the peers: `make bench`; see docs/explanation/performance.md.

Absolute times mean little: they belong to one machine on one day. So whatever is compared runs
interleaved, in random order, and what is stated is the ratio, with its interval.
"""
