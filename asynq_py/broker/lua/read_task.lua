-- read_task: reads one task.
--
-- KEYS[1]  task key      hash asynq:{queue}:t:<id>
-- ARGV[1]  task ID       string
-- ARGV[2]  queue prefix  asynq:{queue}:
--
-- Returns  {message, state, group, result, score} (each nil if missing, all if it is no hash; the
--          score is when a scheduled task or one in retry runs next) | nil no such task. The key
--          of the state's sorted set, read only, is built from the prefix.
-- Source   asynq v0.26.0, rdb.GetTaskInfo
local task = redis.pcall("HMGET", KEYS[1], "msg", "state", "group", "result")
if task.err then task = {false, false, false, false} end
if not task[1] and not task[2] and redis.call("EXISTS", KEYS[1]) == 0 then return false end
local score = false
if task[2] == "scheduled" or task[2] == "retry" then
  score = redis.call("ZSCORE", ARGV[2] .. task[2], ARGV[1])
end
return {task[1], task[2], task[3], task[4], score}
