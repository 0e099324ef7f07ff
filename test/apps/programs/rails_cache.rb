# The caches of Rails (ActiveSupport): RedisCacheStore, or with STORE=memcached MemCacheStore over Dalli's PROTOCOL.
require 'active_support'
require 'active_support/cache'
require 'active_support/core_ext/numeric/time'
require 'active_support/notifications'

def check(what) = what || raise("failed at #{caller(1..1).first}")

fail_at_once = ->(method:, returning:, exception:) { raise exception }
port = ENV.fetch('PORT')
cache =
  if ENV['STORE'] == 'memcached'
    require 'active_support/cache/mem_cache_store'
    protocol = ENV['PROTOCOL'] ? { protocol: ENV['PROTOCOL'].to_sym } : {}
    ActiveSupport::Cache::MemCacheStore.new("127.0.0.1:#{port}", **protocol)
  else
    require 'active_support/cache/redis_cache_store'
    url = "redis://127.0.0.1:#{port}/2"
    ActiveSupport::Cache::RedisCacheStore.new(url: url, namespace: 'app', error_handler: fail_at_once)
  end
check cache.fetch('made', expires_in: 1.minute) { [1, 2] } == [1, 2]
check cache.read('made') == [1, 2]
values = (0...50).to_h { |n| ["k#{n}", { 'n' => n }] }
cache.write_multi(values, expires_in: 1.minute)
check cache.read_multi(*values.keys) == values
check cache.fetch_multi('k0', 'new') { |key| key } == { 'k0' => { 'n' => 0 }, 'new' => 'new' }
cache.write('n', 1, raw: true)
check cache.increment('n', 4) == 5
check cache.delete('k0') && !cache.exist?('k0')
cache.delete_multi(%w[k1 k2])
cache.delete_matched('k*') if ENV['STORE'] != 'memcached'
cache.clear
check cache.read('made').nil?
