-- record_enqueue_event: adds a run to an entry's history, which keeps the newest 1,000.
--
-- KEYS[1]  history key  sorted set of SchedulerEnqueueEvents, score: when, unix seconds
-- ARGV[1]  enqueued at  unix seconds
-- ARGV[2]  event        bytes, protobuf SchedulerEnqueueEvent
-- ARGV[3]  most         how many the history may hold
-- ARGV[4]  TTL          seconds that the history outlives its last run
--
-- Returns  1 added | 0 the same bytes were there already
-- Source   asynq v0.26.0, rdb.RecordSchedulerEnqueueEvent (which leaves histories for ever)
redis.call("ZREMRANGEBYRANK", KEYS[1], 0, -tonumber(ARGV[3]))
local added = redis.call("ZADD", KEYS[1], ARGV[1], ARGV[2])
redis.call("EXPIRE", KEYS[1], ARGV[4])
return added
