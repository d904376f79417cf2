-- forward: makes tasks pending that are due, or has them join their group again.
--
-- KEYS[1]  source        the scheduled or the retry key: sorted set, score: when, unix seconds
-- KEYS[2]  pending key   list of task IDs, newest on the left
-- KEYS[3]  groups key    set
-- ARGV[1]  now           unix seconds
-- ARGV[2]  now           unix nanoseconds
-- ARGV[3]  most          how many tasks
-- ARGV[4]  queue prefix  asynq:{queue}:
--
-- Returns  how many there were. Task keys and those of groups are built from the prefix.
-- Source   asynq v0.26.0, rdb.forward (which does not list the group)
local ids = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", ARGV[1], "LIMIT", 0, ARGV[3])
for _, id in ipairs(ids) do
  local task = ARGV[4] .. "t:" .. id
  local group = redis.call("HGET", task, "group")
  if group and group ~= "" then
    redis.call("ZADD", ARGV[4] .. "g:" .. group, ARGV[1], id)
    redis.call("SADD", KEYS[3], group)
    redis.call("ZREM", KEYS[1], id)
    redis.call("HSET", task, "state", "aggregating")
  else
    redis.call("LPUSH", KEYS[2], id)
    redis.call("ZREM", KEYS[1], id)
    redis.call("HSET", task, "state", "pending", "pending_since", ARGV[2])
  end
end
return #ids
