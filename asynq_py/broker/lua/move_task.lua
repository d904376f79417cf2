-- move_task: makes one task pending, archives it, or deletes it.
--
-- KEYS[1]  task key      hash asynq:{queue}:t:<id>
-- KEYS[2]  pending key   list
-- KEYS[3]  archived key  sorted set, score: when it was archived, unix seconds
-- KEYS[4]  groups key    set
-- ARGV[1]  task ID       string
-- ARGV[2]  where to      "pending", "archived", or "" to delete it
-- ARGV[3]  queue prefix  asynq:{queue}:
-- ARGV[4]  now           unix seconds
--
-- Returns  1 done | 0 no such task | -1 it is active | -2 it is there already | -3 its hash has
--          no state that is known | -4 it is not where its state says | -5 it is to run and has
--          no message: workers would never let go of it. Unless 1 nothing was changed. Built from the prefix: the key of the place where it is, and its lock's.
-- Source   asynq v0.26.0, rdb: RunTask, ArchiveTask, DeleteTask (which fail in Lua where the
--          state is missing, and leave the lock of a grouped task behind)
local PLACES = {scheduled = true, retry = true, archived = true, completed = true}
local id, target, prefix = ARGV[1], ARGV[2], ARGV[3]

if redis.call("EXISTS", KEYS[1]) == 0 then return 0 end
-- First what can fail because a key is of a wrong type.
local _ = redis.call("LLEN", KEYS[2]) + redis.call("ZCARD", KEYS[3]) + redis.call("SCARD", KEYS[4])
local task = redis.pcall("HMGET", KEYS[1], "state", "group", "unique_key", "msg")
if task.err then return -3 end
local state, group, lock, message = task[1], task[2], task[3], task[4]
if state == "active" then return -1 end
if state == target then return -2 end
if target == "pending" and not message then return -5 end

-- The lock of a grouped task is only in its message, field 10: 0x52, its length, itself.
local function lock_in(bytes)
  local start = bytes and string.find(bytes, prefix .. "unique:", 1, true)
  while start and start > 2 do
    local length, tag = string.byte(bytes, start - 1), string.byte(bytes, start - 2)
    if length >= 128 or tag >= 128 then
      tag = string.byte(bytes, start - 3)
      length = string.byte(bytes, start - 2) % 128 + length * 128
    end
    if tag == 82 then return string.sub(bytes, start, start + length - 1) end
    start = string.find(bytes, prefix .. "unique:", start + 1, true)
  end
end

local taken
if state == "pending" then
  taken = redis.call("LREM", KEYS[2], 0, id)
elseif state == "aggregating" and group then
  taken = redis.call("ZREM", prefix .. "g:" .. group, id)
  if redis.call("EXISTS", prefix .. "g:" .. group) == 0 then
    redis.call("SREM", KEYS[4], group)
  end
elseif PLACES[state] then
  taken = redis.call("ZREM", prefix .. state, id)
else
  return -3
end
if taken == 0 then return -4 end

if target == "pending" then
  redis.call("LPUSH", KEYS[2], id)
  redis.call("HSET", KEYS[1], "state", target)
elseif target == "archived" then
  redis.call("ZADD", KEYS[3], ARGV[4], id)
  redis.call("HSET", KEYS[1], "state", target)
else
  lock = lock or lock_in(message)
  if lock and redis.pcall("GET", lock) == id then redis.call("DEL", lock) end
  redis.call("DEL", KEYS[1])
end
return 1
