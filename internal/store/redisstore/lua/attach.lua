-- KEYS: id, ids that it succeeds, counter of events, events, appended
-- ARGV: the id that this node knows or '', an id to begin with or '' (begin nothing)
-- Answers the id that is there or false, whether it succeeds the one known, the
-- last event's number, and where the two streams end.
local id = redis.call('GET', KEYS[1])
if not id and ARGV[2] ~= '' then
  id = ARGV[2]
  redis.call('SET', KEYS[1], id)
end
local succeeds = 0
if id and ARGV[1] ~= '' then
  succeeds = redis.call('SISMEMBER', KEYS[2], ARGV[1])
end
local function last(stream)
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  if #newest == 0 then
    return '0-0'
  end
  return newest[1][1]
end
return { id, succeeds, redis.call('GET', KEYS[3]) or '0', last(KEYS[4]), last(KEYS[5]) }
