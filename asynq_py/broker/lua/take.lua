-- take: makes the oldest pending tasks of a queue active, each under a lease.
--
-- KEYS[1]  pending key  list of task IDs, newest on the left
-- KEYS[2]  paused key   string that is there while the queue is paused
-- KEYS[3]  active key   list
-- KEYS[4]  lease key    sorted set, score: when the lease ends, unix seconds
-- ARGV[1]  most         how many to take
-- ARGV[2]  lease until  unix seconds
-- ARGV[3]  task prefix  asynq:{queue}:t:
--
-- Returns  {ghosts, ID, message, ID, message, ...}, the oldest first: how many IDs without a
--          message were thrown away (with what was left of their hashes), and what was taken.
--          Nothing is taken from a paused queue. Task keys are built from the prefix.
-- Source   asynq v0.26.0, rdb.Dequeue, which takes one, and makes a hash of an ID without one
--          active for ever
local taken, ghosts = {0}, 0
if redis.call("EXISTS", KEYS[2]) == 1 then return taken end
local ids = redis.call("RPOP", KEYS[1], ARGV[1])
if not ids or #ids == 0 then return taken end
local active, leases = {}, {}
for _, id in ipairs(ids) do
  local task = ARGV[3] .. id
  local message = redis.pcall("HGET", task, "msg")
  if type(message) == "string" then
    redis.call("HSET", task, "state", "active")
    redis.call("HDEL", task, "pending_since")
    active[#active + 1] = id
    leases[#leases + 1] = ARGV[2]
    leases[#leases + 1] = id
    taken[#taken + 1] = id
    taken[#taken + 1] = message
  else
    ghosts = ghosts + 1
    if not message then redis.call("DEL", task) end
  end
end
taken[1] = ghosts
if #active > 0 then
  redis.call("LPUSH", KEYS[3], unpack(active))
  redis.call("ZADD", KEYS[4], unpack(leases))
end
return taken
