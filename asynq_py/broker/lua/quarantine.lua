-- quarantine: puts a task aside whose message workers cannot use, so that they and the recoverer
-- get on with the others.
--
-- KEYS[1]   task key              hash; it stays as it is
-- KEYS[2]   quarantine key        sorted set of task IDs, score: since when, unix seconds
-- KEYS[3]   pending key           list
-- KEYS[4]   active key            list
-- KEYS[5]   lease key             sorted set, score: when the lease ends, unix seconds
-- KEYS[6]   scheduled key         sorted set
-- KEYS[7]   retry key             sorted set
-- KEYS[8]   archived key          sorted set
-- KEYS[9]   completed key         sorted set
-- KEYS[10]  groups key            set
-- KEYS[11]  aggregation sets key  sorted set of keys, score: until when
-- ARGV[1]   task ID
-- ARGV[2]   message               SHA-1 of the bytes that were found to be of no use, hex
-- ARGV[3]   now                   unix seconds
-- ARGV[4]   mine                  "1" if a lease that runs is the caller's own, else ""
-- ARGV[5]   group prefix          asynq:{queue}:g:
--
-- Returns  1 it is in quarantine, and nowhere else | 0 it has another message by now, or none | -1
--          somebody's lease on it runs. Unless 1, nothing was changed. Its uniqueness lock is
--          freed, if it holds it. Keys of its group and its lock are taken from the hash.
-- Source   ours: asynq v0.26.0, rdb.ListLeaseExpired fails as a whole while one message of those
--          whose lease has ended cannot be read, and rdb.Dequeue leaves such a task active
local id, groups = ARGV[1], ARGV[5]
local message, group, lock = unpack(redis.call("HMGET", KEYS[1], "msg", "group", "unique_key"))
if not message or redis.sha1hex(message) ~= ARGV[2] then return 0 end
local lease = redis.call("ZSCORE", KEYS[5], id)
if lease and tonumber(lease) > tonumber(ARGV[3]) and ARGV[4] ~= "1" then return -1 end

local own = group and groups .. group
local sorted_sets = {KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]}
if own then sorted_sets[#sorted_sets + 1] = own end
-- First what can fail because a key is of a wrong type.
local sets = redis.call("ZRANGE", KEYS[11], 0, -1)
local _ = redis.call("LLEN", KEYS[3]) + redis.call("LLEN", KEYS[4]) + redis.call("SCARD", KEYS[10])
for _, key in ipairs(sorted_sets) do redis.call("ZCARD", key) end

redis.call("ZADD", KEYS[2], "NX", ARGV[3], id)
redis.call("LREM", KEYS[3], 0, id)
redis.call("LREM", KEYS[4], 0, id)
for _, key in ipairs(sorted_sets) do redis.call("ZREM", key, id) end
if own then
  if redis.call("EXISTS", own) == 0 then redis.call("SREM", KEYS[10], group) end
  for _, key in ipairs(sets) do
    if string.sub(key, 1, #own + 1) == own .. ":" then redis.pcall("ZREM", key, id) end
  end
end
if lock and redis.pcall("GET", lock) == id then redis.call("DEL", lock) end
return 1
