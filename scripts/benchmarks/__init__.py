"""Benchmarks: `scripts/bench`.

    __main__        the command line; one subcommand for each suite
    enqueue         a suite: whom to measure at what, and the aims
    model           what a suite is made of, and what comes out
    runner          interleaved bursts, checked and measured
    programs        starting the contenders: drivers/, Go, peers in their own environments
    process         a contender's process and its protocol of JSON lines
    report          tables, JSON
    machine         what it ran on

Every contender is a process that answers the same commands (see drivers/driver.py and
interop/cmd/bench), so that all are measured alike.
"""
