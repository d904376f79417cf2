"""Benchmarks: `scripts/bench`.

    __main__        the command line; one subcommand for each suite
    options         what the command line asks of a suite
    enqueue         a suite of bursts: whom to measure at what, and the aims
    model           what such a suite is made of, and what comes out
    runner          interleaved bursts, checked and measured
    report          tables, data
    scheduler/      a suite: schedulers with many entries
    inspecting/     a suite: looking at much, and deleting much
    working/        a suite: workers draining queues, how late they begin, what they need
    programs        starting the contenders: drivers/, Go, peers in their own environments
    process         a contender's process and its protocol of JSON lines
    page            what is shown of a run, and how
    machine         what it ran on

Every contender is a process that answers the same commands (see drivers/driver.py and
interop/cmd/bench), so that all are measured alike.
"""
