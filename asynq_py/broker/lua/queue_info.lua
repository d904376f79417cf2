-- queue_info: the sizes and counters of a queue.
--
-- KEYS[1]   pending key      list
-- KEYS[2]   active key       list
-- KEYS[3]   scheduled key    sorted set
-- KEYS[4]   retry key        sorted set
-- KEYS[5]   archived key     sorted set
-- KEYS[6]   completed key    sorted set
-- KEYS[7]   processed today  string
-- KEYS[8]   failed today     string
-- KEYS[9]   processed        string
-- KEYS[10]  failed           string
-- KEYS[11]  paused key       string
-- KEYS[12]  groups key       set
-- ARGV[1]   task prefix      asynq:{queue}:t:
-- ARGV[2]   group prefix     asynq:{queue}:g:
--
-- Returns  a list: the lengths of KEYS 1 to 6, the values of KEYS 7 to 10, 1 if paused, the
--          number of groups, how many tasks are in them, and since when the oldest pending task
--          waits (unix nanoseconds as text, "0" if that is not known). Task and group keys, read
--          only, are built from the prefixes.
-- Source   asynq v0.26.0, rdb.CurrentStats
local function count(value)
  return value and tonumber(value) or 0
end

local info = {
  redis.call("LLEN", KEYS[1]),
  redis.call("LLEN", KEYS[2]),
  redis.call("ZCARD", KEYS[3]),
  redis.call("ZCARD", KEYS[4]),
  redis.call("ZCARD", KEYS[5]),
  redis.call("ZCARD", KEYS[6]),
  count(redis.call("GET", KEYS[7])),
  count(redis.call("GET", KEYS[8])),
  count(redis.call("GET", KEYS[9])),
  count(redis.call("GET", KEYS[10])),
  redis.call("EXISTS", KEYS[11]),
}
local groups = redis.call("SMEMBERS", KEYS[12])
local aggregating = 0
for _, group in ipairs(groups) do
  aggregating = aggregating + redis.call("ZCARD", ARGV[2] .. group)
end
local oldest = redis.call("LINDEX", KEYS[1], -1)
local since = oldest and redis.pcall("HGET", ARGV[1] .. oldest, "pending_since")
if type(since) ~= "string" then since = "0" end
info[12], info[13], info[14] = #groups, aggregating, since
return info
