-- write_result: keeps what a handler has to say, while its task is at work.
--
-- KEYS[1]  task key  hash
-- ARGV[1]  result    bytes
--
-- Returns  1 it was written | 0 the task is gone, or not at work
-- Source   asynq v0.26.0, rdb.WriteResult (which makes a hash anew for a task that is gone)
if redis.call("HGET", KEYS[1], "state") ~= "active" then return 0 end
redis.call("HSET", KEYS[1], "result", ARGV[1])
return 1
