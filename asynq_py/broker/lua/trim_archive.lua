-- trim_archive: deletes archived tasks that are too old or too many, some at a time.
--
-- KEYS[1]  archived key  sorted set, score: when it was archived, unix seconds
-- ARGV[1]  cutoff        unix seconds: what was archived by then is too old
-- ARGV[2]  most          how many may be archived, less one: Asynq keeps 9,999 of 10,000
-- ARGV[3]  chunk         how many to delete at most
-- ARGV[4]  queue prefix  asynq:{queue}:
--
-- Returns  how many were deleted. Task keys and locks are built from the prefix.
-- Source   asynq v0.26.0, rdb.ArchiveTask and its like (which leave the hashes behind)
local ids = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", ARGV[1], "LIMIT", 0, ARGV[3])
if #ids == 0 then
  local excess = redis.call("ZCARD", KEYS[1]) - ARGV[2] + 1
  if excess <= 0 then return 0 end
  ids = redis.call("ZRANGE", KEYS[1], 0, math.min(excess, ARGV[3]) - 1)
end

-- The lock of a grouped task is only in its message, field 10: 0x52, its length, itself.
local function lock_in(bytes)
  local start = bytes and string.find(bytes, ARGV[4] .. "unique:", 1, true)
  while start and start > 2 do
    local length, tag = string.byte(bytes, start - 1), string.byte(bytes, start - 2)
    if length >= 128 or tag >= 128 then
      tag = string.byte(bytes, start - 3)
      length = string.byte(bytes, start - 2) % 128 + length * 128
    end
    if tag == 82 then return string.sub(bytes, start, start + length - 1) end
    start = string.find(bytes, ARGV[4] .. "unique:", start + 1, true)
  end
end

for _, id in ipairs(ids) do
  local task = ARGV[4] .. "t:" .. id
  local known = redis.pcall("HMGET", task, "unique_key", "msg")
  local lock = not known.err and (known[1] or lock_in(known[2]))
  if lock and redis.pcall("GET", lock) == id then redis.call("DEL", lock) end
  redis.call("DEL", task)
  redis.call("ZREM", KEYS[1], id)
end
return #ids
