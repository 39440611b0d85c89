-- KEYS: id, ids that it succeeds
-- ARGV: the id that stood there or '' when there was none, a new id, the id that it succeeds
-- Makes what is there now the data of the nodes that knew another; 1 when done.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
if ARGV[1] == '' then
  redis.call('SET', KEYS[1], ARGV[2])
end
redis.call('SADD', KEYS[2], ARGV[3])
return 1
