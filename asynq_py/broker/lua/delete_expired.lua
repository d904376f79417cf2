-- delete_expired: deletes completed tasks that have been kept long enough.
--
-- KEYS[1]  completed key  sorted set, score: until when, unix seconds
-- ARGV[1]  now            unix seconds
-- ARGV[2]  most           how many to delete
-- ARGV[3]  task prefix    asynq:{queue}:t:
--
-- Returns  how many were deleted. Task keys are built from the prefix.
-- Source   asynq v0.26.0, rdb.DeleteExpiredCompletedTasks
local ids = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", ARGV[1], "LIMIT", 0, ARGV[2])
for _, id in ipairs(ids) do
  redis.call("DEL", ARGV[3] .. id)
  redis.call("ZREM", KEYS[1], id)
end
return #ids
