-- expire_history: gives an end to a scheduler's history that has none.
--
-- KEYS[1]  history key  sorted set
-- ARGV[1]  life         seconds
--
-- Returns  1 done | 0 it is gone, or has an end already: nothing was changed
-- Source   ours: asynq v0.26.0, rdb.RecordSchedulerEnqueueEvent gives it none
if redis.call("TTL", KEYS[1]) ~= -1 then return 0 end
return redis.call("EXPIRE", KEYS[1], ARGV[1])
