-- resign: gives a leadership back.
--
-- KEYS[1]  leader key  hash: holder, term, until
-- ARGV[1]  ID          who had it
-- ARGV[2]  term        the one given back
--
-- Returns  1 given back | 0 it was another's already
-- Source   ours: asynq has no such thing
local known = redis.call("HMGET", KEYS[1], "holder", "term")
if known[1] ~= ARGV[1] or known[2] ~= ARGV[2] then return 0 end
redis.call("HSET", KEYS[1], "until", "0")
return 1
