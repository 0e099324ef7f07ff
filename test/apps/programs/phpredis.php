<?php
// phpredis: strings, pipelines, scan, scripts, databases, MULTI of one key; SEVERAL=1: MULTI of many keys.
$redis = new Redis();
$redis->connect('127.0.0.1', (int) getenv('PORT'));
$keys = array_map(fn($n) => "k$n", range(0, 49));
assert($redis->mset(array_combine($keys, $keys)));
assert($redis->mget($keys) === $keys);
$pipe = $redis->multi(Redis::PIPELINE);
foreach ($keys as $key) $pipe->get($key);
assert($pipe->exec() === $keys);
$redis->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
$found = [];
$cursor = null;
while (($part = $redis->scan($cursor, 'k*', 10)) !== false) array_push($found, ...$part);
assert(count(array_unique($found)) === 50);
assert($redis->eval('return redis.call("INCRBY", KEYS[1], ARGV[1])', ['n', 4], 1) === 4);
assert($redis->multi()->incr('n')->get('n')->exec() === [5, '5']);
$redis->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_PHP);
$redis->hMSet('hash', ['a' => [1], 'b' => null]);
assert($redis->hGetAll('hash') === ['a' => [1], 'b' => null]);
$redis->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_NONE);
assert($redis->select(3) && $redis->get('k0') === false && $redis->select(0));
if (getenv('SEVERAL') === '1') {
    $multi = $redis->multi();
    foreach ($keys as $key) $multi->get($key);
    assert($multi->exec() === $keys);
}
assert($redis->del($keys) === 50);
