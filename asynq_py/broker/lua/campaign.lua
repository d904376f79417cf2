-- campaign: takes the leadership of a group if nobody has it, or renews it.
--
-- KEYS[1]  leader key  hash: holder, term, until (unix milliseconds, by this server's clock)
-- ARGV[1]  ID          who asks
-- ARGV[2]  lease       milliseconds
-- ARGV[3]  term        the one to renew; "" to stand for election
-- ARGV[4]  floor       a new term is higher than this one
--
-- Returns  {term, milliseconds, now}: the term is ours for so long | {0, milliseconds, now}: it
--          is not ours, and another's for so long (0: nobody's); now in unix milliseconds
-- Source   ours: asynq has no such thing
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local known = redis.call("HMGET", KEYS[1], "holder", "term", "until")
local holder, term, left = known[1], known[2] or "0", tonumber(known[3] or 0) - now
local is_ours = left > 0 and holder == ARGV[1]

if ARGV[3] ~= "" then
  if not is_ours or term ~= ARGV[3] then return {0, math.max(left, 0), now} end
else
  if left > 0 and not is_ours then return {0, left, now} end
  -- Never lower than before, also where the key was lost: the clock goes on.
  term = string.format("%.0f", math.max(tonumber(term) + 1, ARGV[4] + 1, now))
end
redis.call("HSET", KEYS[1], "holder", ARGV[1], "term", term, "until",
  string.format("%.0f", now + ARGV[2]))
-- The key outlives its lease, so that terms go on; not for ever.
redis.call("PEXPIRE", KEYS[1], 10 * ARGV[2] + 86400000)
return {tonumber(term), tonumber(ARGV[2]), now}
