-- first_seen: notes entries in the ledger of ticks that are not there yet, and reads it.
--
-- KEYS[1]   ledger     hash: entry -> "tick runs task-ID"
-- ARGV[1]   baseline   unix seconds: ticks after it count
-- ARGV[2+]  fields     of entries
--
-- Returns   what the ledger has of each, in their order
-- Source    ours: asynq has no such thing
local noted = {}
for i = 2, #ARGV do
  redis.call("HSETNX", KEYS[1], ARGV[i], ARGV[1] .. " 0 ")
  noted[#noted + 1] = redis.call("HGET", KEYS[1], ARGV[i])
end
return noted
