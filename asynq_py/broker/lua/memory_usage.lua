-- memory_usage: estimates the bytes that a queue takes, from samples.
--
-- KEYS[1]  active key     list
-- KEYS[2]  pending key    list
-- KEYS[3]  scheduled key  sorted set
-- KEYS[4]  retry key      sorted set
-- KEYS[5]  archived key   sorted set
-- KEYS[6]  completed key  sorted set
-- KEYS[7]  groups key     set
-- ARGV[1]  task prefix    asynq:{queue}:t:
-- ARGV[2]  sample         how many tasks of each are looked at
-- ARGV[3]  group sample   how many groups are looked at
-- ARGV[4]  group prefix   asynq:{queue}:g:
-- ARGV[5]  grouped        how many tasks are in groups
--
-- Returns  bytes. Task and group keys, read only, are built from the prefixes.
-- Source   asynq v0.26.0, rdb.memoryUsage (which fails where a sampled hash is missing)
local function size_of(key)
  return redis.call("MEMORY", "USAGE", key) or 0
end

-- The bytes of the first tasks, and how many of them have a hash.
local function sample(ids)
  local bytes, found = 0, 0
  for _, id in ipairs(ids) do
    local size = size_of(ARGV[1] .. id)
    bytes = bytes + size
    if size > 0 then found = found + 1 end
  end
  return bytes, found
end

local total, last = 0, ARGV[2] - 1
for _, key in ipairs({KEYS[1], KEYS[2]}) do
  local ids, count = redis.call("LRANGE", key, 0, last), redis.call("LLEN", key)
  if #ids > 0 then total = total + sample(ids) / #ids * count end
  total = total + size_of(key)
end
for _, key in ipairs({KEYS[3], KEYS[4], KEYS[5], KEYS[6]}) do
  local ids, count = redis.call("ZRANGE", key, 0, last), redis.call("ZCARD", key)
  if #ids > 0 then total = total + sample(ids) / #ids * count end
  total = total + size_of(key)
end

local bytes, found = 0, 0
for i, group in ipairs(redis.call("SMEMBERS", KEYS[7])) do
  if i > tonumber(ARGV[3]) then break end
  local more, some = sample(redis.call("ZRANGE", ARGV[4] .. group, 0, last))
  bytes, found = bytes + more, found + some
end
if found > 0 then total = total + bytes / found * ARGV[5] end
return math.floor(total)
