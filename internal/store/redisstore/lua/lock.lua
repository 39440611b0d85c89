-- KEYS: id, lock, counter
-- ARGV: id, node, time to live in ms
-- Answers the holder's mark, whose number is above all earlier ones, or false.
if redis.call('EXISTS', KEYS[2]) == 1 then
  return false
end
local number = later(redis.call('GET', KEYS[3]), micros())
redis.call('SET', KEYS[3], number)
local mark = number .. ' ' .. ARGV[2]
redis.call('SET', KEYS[2], mark, 'PX', ARGV[3])
return mark
