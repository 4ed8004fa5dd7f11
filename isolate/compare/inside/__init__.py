"""What runs inside to be measured: one file for each kind, standard library only, carried as text.

A workload marks, by a line each, its begin, its middle and its end, and then tells the number of
its operations. After each line it waits for one from the host, so that a host that reads late
takes no time from one part for the other. Between begin and middle it does the operation, between
middle and end the same without it. It is timed by the host, which reads the lines; its own clock
only finds the number.
"""
