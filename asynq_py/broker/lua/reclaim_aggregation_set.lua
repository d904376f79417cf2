-- reclaim_aggregation_set: gives tasks back to their group that nobody aggregated in time.
--
-- KEYS[1]  set key               sorted set of task IDs, score: when added, unix seconds
-- KEYS[2]  aggregation sets key  sorted set of such keys, score: until when, unix seconds
-- KEYS[3]  group key             sorted set
-- KEYS[4]  groups key            set
-- ARGV[1]  now                   unix seconds
-- ARGV[2]  group                 its name
--
-- Returns  how many tasks were given back; 0 too if somebody did before, or it is still time
-- Source   asynq v0.26.0, rdb.ReclaimStaleAggregationSets (which does not list the group)
local deadline = tonumber(redis.call("ZSCORE", KEYS[2], KEYS[1]) or nil)
if not deadline or deadline > tonumber(ARGV[1]) then return 0 end
local tasks = redis.call("ZRANGE", KEYS[1], 0, -1, "WITHSCORES")
for i = 1, #tasks, 2 do
  redis.call("ZADD", KEYS[3], tasks[i + 1], tasks[i])
end
if #tasks > 0 then redis.call("SADD", KEYS[4], ARGV[2]) end
redis.call("DEL", KEYS[1])
redis.call("ZREM", KEYS[2], KEYS[1])
return #tasks / 2
