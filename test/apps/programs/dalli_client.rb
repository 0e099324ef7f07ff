# Dalli with the protocol PROTOCOL (binary by default, or meta).
require 'dalli'

def check(what) = what || raise("failed at #{caller(1..1).first}")

options = ENV['PROTOCOL'] ? { protocol: ENV['PROTOCOL'].to_sym } : {}
client = Dalli::Client.new("127.0.0.1:#{ENV.fetch('PORT')}", **options, socket_failure_delay: nil)
client.set('key', { 'a' => [1] })
check client.get('key') == { 'a' => [1] }
check !client.add('key', 'other')
keys = (0...50).map { |n| "k#{n}" }
keys.each { |key| client.set(key, key) }
check client.get_multi(*keys) == keys.to_h { |key| [key, key] }
check client.cas('key') { |value| value.merge('b' => 2) }
check client.get('key')['b'] == 2
check client.incr('n', 4, 60, 1) == 1 && client.incr('n', 4) == 5
check client.touch('key', 100)
check client.delete('key') && client.get('key').nil?
check client.version.values.first.start_with?('1.')
client.flush
check client.get('n').nil?
