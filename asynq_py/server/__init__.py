"""Server: takes tasks and has them handled, beside Go's servers.

server      what users hold; starts and stops the rest
config, delays, mux, handlers, context   what users give and are given
processor   takes tasks, has them handled, hands them in; on an event loop (loop)
job, order, verdict   a task at work; which queue is next; what becomes of a task
heart       renews leases and shows the server (identity)
chores      forwarder, recoverer, janitor, health check
aggregator  makes one task of a group's
subscriber  hears what is to be cancelled
processes, child   processes for plain handlers: what the server does, what they do
threads, quiet   threads for plain handlers; messages that must not flood
"""
