-- gather_group: takes the tasks of a group out to be aggregated, if it is time.
--
-- KEYS[1]  group key             sorted set of task IDs, score: when added, unix seconds
-- KEYS[2]  set key               where they go: sorted set, its name is the group's and a UUID
-- KEYS[3]  aggregation sets key  sorted set of such keys, score: until when, unix seconds
-- KEYS[4]  groups key            set
-- ARGV[1]  now                   unix seconds
-- ARGV[2]  grace                 seconds that pass without another task; then it is time
-- ARGV[3]  longest               seconds that the oldest task waits; then it is time; 0 for ever
-- ARGV[4]  size                  of a group for which it is time, and of the set; 0 for any
-- ARGV[5]  until                 unix seconds: by when the set is to be done with
-- ARGV[6]  group                 its name
--
-- Returns  how many tasks were taken; 0 it is not time. A group that is empty is listed no more.
-- Source   asynq v0.26.0, rdb.AggregationCheck (which keeps on listing an empty group)
local size = redis.call("ZCARD", KEYS[1])
if size == 0 then
  redis.call("SREM", KEYS[4], ARGV[6])
  return 0
end
local now, grace, longest, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local oldest = tonumber(redis.call("ZRANGE", KEYS[1], 0, 0, "WITHSCORES")[2])
local newest = tonumber(redis.call("ZRANGE", KEYS[1], -1, -1, "WITHSCORES")[2])
local is_full = most > 0 and size >= most
local is_old = longest > 0 and oldest <= now - longest
if not (is_full or is_old or newest <= now - grace) then return 0 end
local taken = redis.call("ZRANGE", KEYS[1], 0, most - 1, "WITHSCORES")
for i = 1, #taken, 2 do
  redis.call("ZADD", KEYS[2], taken[i + 1], taken[i])
end
redis.call("ZREMRANGEBYRANK", KEYS[1], 0, most - 1)
redis.call("ZADD", KEYS[3], ARGV[5], KEYS[2])
if redis.call("EXISTS", KEYS[1]) == 0 then redis.call("SREM", KEYS[4], ARGV[6]) end
return #taken / 2
