<?php
// phpredis with its defaults against the pool on the port given: strings, pipelines, transactions, scripts, blocking, SCAN, sessions.

$redis = new Redis();
$redis->connect('127.0.0.1', (int) $argv[1], 5.0);
$checks = 0;

function check($actual, $expected): void
{
    global $checks;
    if ($actual !== $expected) {
        fwrite(STDERR, var_export($actual, true) . ' in place of ' . var_export($expected, true) . "\n");
        debug_print_backtrace();
        exit(1);
    }
    $checks++;
}

$names = array_map(fn (int $number): string => "php:$number", range(0, 99));
check($redis->ping(), true);
check($redis->ping('hello'), 'hello');
check($redis->flushAll(), true);
check($redis->mset(array_combine($names, $names)), true);
check($redis->mget($names), $names);
check($redis->dbSize(), 100);
check($redis->exists($names), 100);

$found = [];
$redis->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
for ($cursor = null; ($page = $redis->scan($cursor, 'php:*', 7)) !== false; ) {
    array_push($found, ...$page);
}
sort($found);
$sorted = $names;
sort($sorted);
check($found, $sorted);
check($redis->del($names), 100);
check($redis->select(3), true);
check($redis->set('php:db', 'three'), true);
check($redis->get('php:db'), 'three');
check($redis->getDbNum(), 3);
check($redis->move('php:db', 4), true);
check($redis->select(0), true);
check($redis->get('php:db'), false);
check($redis->select(4), true);
check($redis->multi()->get('php:db')->exec(), ['three']);
check($redis->del('php:db'), 1);
check($redis->select(40), false);
check($redis->set('php:db', 'lost'), false);
check($redis->select(0), true);
check($redis->get('php:db'), false);
check($redis->echo('hello'), 'hello');
check($redis->client('setname', 'phpredis'), true);
check($redis->client('getname'), 'phpredis');
$server = $redis->info('server');
check($server['redis_mode'] ?? $server['server_mode'], 'standalone');
check($redis->config('GET', 'maxmemory'), ['maxmemory' => '0']);

$pipe = $redis->pipeline();
foreach ($names as $name) {
    $pipe->set($name, 1)->incr($name);
}
check($pipe->exec(), array_merge(...array_fill(0, 100, [true, 2])));
check($redis->multi()->set('php:{t}1', 'a')->get('php:{t}1')->get('php:{t}2')->exec(), [true, 'a', false]);

$other = new Redis();
$other->connect('127.0.0.1', (int) $argv[1], 5.0);
$redis->watch('php:{t}1');
$other->set('php:{t}1', 'changed');
check($redis->multi()->set('php:{t}1', 'lost')->exec(), false);

check($redis->eval('return {KEYS[1], ARGV[1]}', ['php:key', 'a'], 1), ['php:key', 'a']);
$digest = $redis->script('load', 'return KEYS[1]');
foreach (array_slice($names, 0, 10) as $name) {
    check($redis->evalSha($digest, [$name], 1), $name);
}

$redis->rPush('php:list', 'pushed');
check($redis->blPop('php:list', 1), ['php:list', 'pushed']);
check($redis->blPop('php:list', 1), []);

$redis->hMSet('php:hash', ['a' => '1', 'b' => '2']);
check($redis->hGetAll('php:hash'), ['a' => '1', 'b' => '2']);
$redis->zAdd('php:zset', 1, 'one', 2, 'two');
check($redis->zRange('php:zset', 0, -1, true), ['one' => 1.0, 'two' => 2.0]);
check($redis->rawCommand('NONSENSE'), false);
check(str_contains($redis->getLastError(), 'unknown command'), true);

// The subscription has no end of its own: the read timeout ends it.
$reader = new Redis();
$reader->connect('127.0.0.1', (int) $argv[1], 5.0);
$reader->setOption(Redis::OPT_READ_TIMEOUT, 1);
$publisher = 'for ($redis = new Redis(), $redis->connect("127.0.0.1", (int) $argv[1]); $redis->publish("php:channel", "hello") === 0; ) usleep(10000);';
$process = proc_open([PHP_BINARY, '-r', $publisher, $argv[1]], [], $pipes);
$heard = null;
try {
    $reader->subscribe(['php:channel'], function (Redis $redis, string $channel, string $message) use (&$heard): void {
        $heard = [$channel, $message];
    });
} catch (RedisException) {
    $checks++;
}
proc_close($process);
check($heard, ['php:channel', 'hello']);
echo "$checks checks\n";
