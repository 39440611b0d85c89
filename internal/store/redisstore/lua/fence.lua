-- Stands before every other script: it runs only on the data that this node knows.
-- KEYS[1] holds the installation's id, ARGV[1] is the one that is meant.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('OTHERDATA this is not the data that was asked for')
end
local function micros()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end
-- later is a number that is above the one at key and field, and not below the
-- clock: it comes once, even when a replica was promoted that lacks the latest.
local function later(last, now)
  return string.format('%.0f', math.max((tonumber(last) or 0) + 1, now))
end
