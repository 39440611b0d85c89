-- KEYS: id
-- ARGV: the id that stands there or '' when there is none, the new one
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
