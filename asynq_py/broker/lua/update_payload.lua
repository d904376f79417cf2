-- update_payload: gives a scheduled task another message.
--
-- KEYS[1]  task key  hash asynq:{queue}:t:<id>
-- ARGV[1]  before    bytes, the message that is to be replaced
-- ARGV[2]  after     bytes, protobuf TaskMessage
--
-- Returns  1 done | 0 no such task | -1 it is not scheduled | -2 it has another message by now.
--          Unless 1 nothing was changed.
-- Source   asynq v0.26.0, rdb.UpdateTaskPayload (which overwrites what others wrote meanwhile)
if redis.call("EXISTS", KEYS[1]) == 0 then return 0 end
local task = redis.call("HMGET", KEYS[1], "state", "msg")
if task[1] ~= "scheduled" then return -1 end
if task[2] ~= ARGV[1] then return -2 end
redis.call("HSET", KEYS[1], "msg", ARGV[2])
return 1
