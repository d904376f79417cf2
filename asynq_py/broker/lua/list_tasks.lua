-- list_tasks: reads a page of the tasks of one state.
--
-- KEYS[1]  source       list or sorted set of task IDs
-- ARGV[1]  type         of the source: "list" or "zset"
-- ARGV[2]  start        index of the first one, as LRANGE and ZRANGE count
-- ARGV[3]  stop         index of the last one
-- ARGV[4]  task prefix  asynq:{queue}:t:
--
-- Returns  a list, for each task: ID, message, result (nil if missing), and in a sorted set its
--          score. In place of a missing message: 1 its hash has none | 0 it has no hash. The
--          task keys, read only, are built from the prefix.
-- Source   asynq v0.26.0, rdb.listMessages, rdb.listZSetEntries
local found, n = {}, 0
local ids, step
if ARGV[1] == "list" then
  ids, step = redis.call("LRANGE", KEYS[1], ARGV[2], ARGV[3]), 1
else
  ids, step = redis.call("ZRANGE", KEYS[1], ARGV[2], ARGV[3], "WITHSCORES"), 2
end
for i = 1, #ids, step do
  local key = ARGV[4] .. ids[i]
  local task = redis.pcall("HMGET", key, "msg", "result")
  found[n + 1] = ids[i]
  if task[1] then
    found[n + 2], found[n + 3] = task[1], task[2]
  else
    found[n + 2] = redis.call("TYPE", key).ok == "hash" and 1 or 0
    found[n + 3] = not task.err and task[2]
  end
  n = n + 3
  if step == 2 then
    n = n + 1
    found[n] = ids[i + 1]
  end
end
return found
