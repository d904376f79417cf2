-- move_tasks: makes some tasks of one place pending, archives them, or deletes them.
--
-- KEYS[1]  source        list or sorted set of task IDs
-- KEYS[2]  pending key   list
-- KEYS[3]  archived key  sorted set, score: when it was archived, unix seconds
-- KEYS[4]  groups key    set
-- ARGV[1]  type          of the source: "list" or "zset"
-- ARGV[2]  where to      "pending", "archived", or "" to delete them
-- ARGV[3]  queue prefix  asynq:{queue}:
-- ARGV[4]  now           unix seconds
-- ARGV[5]  group         whose source this is; "" for none
-- ARGV[6]  only          the ID of the one task to take; "" to take the oldest
-- ARGV[7]  most          how many to take of the oldest
-- ARGV[8]  until         of a sorted set: take what has at most this score, "+inf" for all ...
-- ARGV[9]  keep          ... and what is too much, where so many are to stay
--
-- Returns  {taken, done}: how many IDs were taken from the source, and how many of them had a
--          task (that has a message, if it is to run); the others are gone. Task keys and locks
--          are built from the prefix.
-- Source   asynq v0.26.0, rdb: RunTask, runAll and their like, which do all at once, make hashes
--          for IDs that have none, leave locks behind, and hashes of what they trim
local is_list, target, prefix, only = ARGV[1] == "list", ARGV[2], ARGV[3], ARGV[6]
-- First what can fail because a key is of a wrong type.
if target ~= "" then redis.call("LLEN", KEYS[2]); redis.call("ZCARD", KEYS[3]) end
if ARGV[5] ~= "" then redis.call("SCARD", KEYS[4]) end

local function oldest(most)
  if most <= 0 then return {} end
  if not is_list then
    local ids = redis.call("ZRANGE", KEYS[1], 0, most - 1)
    redis.call("ZREMRANGEBYRANK", KEYS[1], 0, most - 1)
    return ids
  end
  local ids, right = {}, redis.call("LRANGE", KEYS[1], -most, -1)
  for i = #right, 1, -1 do ids[#ids + 1] = right[i] end
  redis.call("LTRIM", KEYS[1], 0, -most - 1)
  return ids
end

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

local ids
if only ~= "" then
  local command = is_list and {"LREM", KEYS[1], 0, only} or {"ZREM", KEYS[1], only}
  ids = redis.call(unpack(command)) > 0 and {only} or {}
elseif is_list then
  ids = oldest(tonumber(ARGV[7]))
else
  local due = redis.call("ZCOUNT", KEYS[1], "-inf", ARGV[8])
  local excess = redis.call("ZCARD", KEYS[1]) - ARGV[9]
  ids = oldest(math.min(ARGV[7], math.max(due, excess)))
end

local done = 0
for _, id in ipairs(ids) do
  local task = prefix .. "t:" .. id
  local known = redis.pcall("HMGET", task, "state", "unique_key", "msg")
  if known.err then known = {false, false, false} end
  if target == "" then
    local lock = known[2] or lock_in(known[3])
    if lock and redis.pcall("GET", lock) == id then redis.call("DEL", lock) end
    done = done + redis.call("DEL", task)
  elseif target == "pending" and known[3] then
    redis.call("LPUSH", KEYS[2], id)
    redis.call("HSET", task, "state", target)
    done = done + 1
  elseif known[1] or known[3] then
    -- What has no message cannot run (workers would never let go of it): it is archived.
    redis.call("ZADD", KEYS[3], ARGV[4], id)
    redis.call("HSET", task, "state", "archived")
    if target == "archived" then done = done + 1 end
  end
end
if ARGV[5] ~= "" and redis.call("EXISTS", KEYS[1]) == 0 then
  redis.call("SREM", KEYS[4], ARGV[5])
end
return {#ids, done}
