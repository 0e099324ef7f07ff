# redis-rb: pipelines, transactions, scan, scripts, subscriptions, databases, blocking reads.
require 'redis'

def check(what) = what || raise("failed at #{caller(1..1).first}")

port = ENV.fetch('PORT').to_i
client = Redis.new(port: port)
keys = (0...50).map { |n| "k#{n}" }
client.mset(*keys.flat_map { |key| [key, key] })
check client.mget(*keys) == keys
check client.mapped_mget(*keys).values == keys
check client.pipelined { |pipe| keys.each { |key| pipe.get(key) } } == keys
check client.scan_each(match: 'k*').to_a.uniq.sort == keys.sort
check client.eval('return redis.call("INCRBY", KEYS[1], ARGV[1])', keys: ['n'], argv: [4]) == 4
check client.watch('n') { client.multi { |tx| tx.incr('n') } } == [5]
other = Redis.new(port: port, db: 3)
check other.get('k0').nil?
Thread.new { sleep 0.1; Redis.new(port: port, db: 3).rpush('queue', 'job') }
check other.blpop('queue', timeout: 10) == %w[queue job]
subscriber = Redis.new(port: port)
subscriber.subscribe('news') do |on|
  on.subscribe { client.publish('news', 'hello') }
  on.message do |_, text|
    check text == 'hello'
    subscriber.unsubscribe
  end
end
check client.multi { |tx| keys.each { |key| tx.get(key) } } == keys if ENV['SEVERAL'] == '1'
