-- delete_aggregation_set: deletes tasks that were aggregated into one.
--
-- KEYS[1]  set key               sorted set of task IDs
-- KEYS[2]  aggregation sets key  sorted set of such keys
-- ARGV[1]  most                  how many tasks to delete
-- ARGV[2]  task prefix           asynq:{queue}:t:
--
-- Returns  how many are left. Task keys are built from the prefix.
-- Source   asynq v0.26.0, rdb.DeleteAggregationSet, which deletes all at once
local ids = redis.call("ZRANGE", KEYS[1], 0, ARGV[1] - 1)
for _, id in ipairs(ids) do
  redis.call("DEL", ARGV[2] .. id)
end
redis.call("ZREMRANGEBYRANK", KEYS[1], 0, ARGV[1] - 1)
local left = redis.call("ZCARD", KEYS[1])
if left == 0 then redis.call("ZREM", KEYS[2], KEYS[1]) end
return left
