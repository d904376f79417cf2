"""Server: takes tasks and has them handled, beside Go's servers.

server      what users hold; starts and stops the rest
config, delays, mux, handlers, context   what users give and are given
processor   has tasks handled, on an event loop (loop)
turns       takes tasks and hands them in
helpers     what is done for handlers: threads, processes (processes, child), results
job, order, verdict   a task at work; which queue is next; what becomes of a task
heart       renews leases and shows the server (identity)
chores      forwarder, recoverer, janitor, health check
aggregator  makes one task of a group's
subscriber  hears what is to be cancelled
quiet       messages that must not flood
"""
