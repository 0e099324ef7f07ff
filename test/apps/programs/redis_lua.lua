-- redis-lua: pipelines, transactions, scripts, subscriptions.
local redis = require 'redis'
local port = tonumber(os.getenv 'PORT')
local client = redis.connect('127.0.0.1', port)
local keys, pairs_ = {}, {}
for n = 1, 50 do
  keys[n] = 'k' .. n
  pairs_['k' .. n] = 'k' .. n
end
client:mset(pairs_)
assert(table.concat(client:mget(keys), ' ') == table.concat(keys, ' '))
local replies = client:pipeline(function(pipe)
  for _, key in ipairs(keys) do pipe:get(key) end
end)
assert(table.concat(replies, ' ') == table.concat(keys, ' '))
assert(client:eval('return redis.call("INCRBY", KEYS[1], ARGV[1])', 1, 'n', 4) == 4)
local done = client:transaction({ watch = 'n', cas = true, retry = 2 }, function(tx)
  local n = tonumber(tx:get 'n')
  tx:multi()
  tx:set('n', n + 1)
end)
assert(done[1] == true and client:get 'n' == '5')
client:select(3)
assert(client:get 'k1' == nil)
