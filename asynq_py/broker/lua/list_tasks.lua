-- list_tasks: reads a page of the tasks of one state.
--
-- KEYS[1]  source       list or sorted set of task IDs
-- ARGV[1]  type         of the source: "list" or "zset"
-- ARGV[2]  start        index of the first one, as LRANGE and ZRANGE count
-- ARGV[3]  stop         index of the last one
-- ARGV[4]  task prefix  asynq:{queue}:t:
--
-- Returns  a list, for each task: ID, message, result, state in its hash (each nil if missing,
--          all if it is no hash), score ("" in a list). The task keys, read only, are built from the prefix.
-- Source   asynq v0.26.0, rdb.listMessages, rdb.listZSetEntries
local found = {}
local ids, step
if ARGV[1] == "list" then
  ids, step = redis.call("LRANGE", KEYS[1], ARGV[2], ARGV[3]), 1
else
  ids, step = redis.call("ZRANGE", KEYS[1], ARGV[2], ARGV[3], "WITHSCORES"), 2
end
for i = 1, #ids, step do
  local task = redis.pcall("HMGET", ARGV[4] .. ids[i], "msg", "result", "state")
  if task.err then task = {false, false, false} end
  found[#found + 1] = {ids[i], task[1], task[2], task[3], step == 2 and ids[i + 1] or ""}
end
return found
