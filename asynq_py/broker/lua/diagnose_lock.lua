-- diagnose_lock: says whether a uniqueness lock is held by a task that does not hold it, and
-- frees it if that is still so.
--
-- KEYS[1]  lock key     string, value: the ID of its holder
-- KEYS[2]  lease key    sorted set: who has a lease may still be at work
-- ARGV[1]  task prefix  asynq:{queue}:t:
-- ARGV[2]  repair       "1" to free it, "" to look only
--
-- Returns  {why, its holder's ID}: "" it is held by right, or free | "gone" there is no such task
--          | "done" the task is completed | "other" the task does not know of this lock. The key
--          of the task, read only, is built from the prefix.
-- Source   ours: asynq v0.26.0, rdb.EnqueueUnique leaves the lock behind when the ID is taken
local id = redis.call("GET", KEYS[1])
if not id then return {"", ""} end
local task = redis.pcall("HMGET", ARGV[1] .. id, "msg", "state", "unique_key")
if task.err then return {"", id} end
local why = ""
if redis.call("ZSCORE", KEYS[2], id) then return {"", id} end
if not task[1] then
  why = "gone"
elseif task[2] == "completed" then
  why = "done"
elseif task[3] ~= KEYS[1] and not string.find(task[1], KEYS[1], 1, true) then
  why = "other"
end
if why ~= "" and ARGV[2] == "1" then redis.call("DEL", KEYS[1]) end
return {why, id}
