<?php
// Laravel's cache and queue (illuminate/cache, /queue, /redis) over phpredis or Predis (CLIENT).
foreach (['Cache', 'Redis', 'Queue', 'Container'] as $part) require "/usr/share/php/Illuminate/$part/autoload.php";
require '/usr/share/php/Predis/Autoloader.php';
Predis\Autoloader::register();
error_reporting(E_ALL & ~E_DEPRECATED);

use Illuminate\Cache\MemcachedStore;
use Illuminate\Cache\RedisStore;
use Illuminate\Cache\Repository;
use Illuminate\Container\Container;
use Illuminate\Queue\RedisQueue;
use Illuminate\Redis\RedisManager;

function checkCache(Repository $cache, bool $many): void
{
    assert($cache->add('once', 1, 60) && !$cache->add('once', 2, 60));
    assert($cache->remember('made', 60, fn() => [1, 2]) === [1, 2]);
    assert((int) $cache->increment('once', 4) === 5);
    $values = array_combine(array_map(fn($n) => "k$n", range(0, 49)), range(0, 49));
    if ($many) assert($cache->putMany($values, 60));
    else foreach ($values as $key => $value) $cache->put($key, $value, 60);
    assert(array_map('intval', $cache->many(array_keys($values))) === $values);
    $lock = $cache->lock('lock', 5);
    assert($lock->get() && !$cache->lock('lock', 5)->get() && $lock->release());
    $cache->tags(['people'])->put('ann', 1, 60);
    assert((int) $cache->tags(['people'])->get('ann') === 1);
    $cache->tags(['people'])->flush();
    assert($cache->tags(['people'])->get('ann') === null);
    $cache->flush();
    assert($cache->get('once') === null);
}

function checkQueue(RedisManager $redis, Container $app): void
{
    $queue = new RedisQueue($redis, getenv('QUEUE') ?: 'default', 'default', 60);
    $queue->setContainer($app);
    $queue->setConnectionName('redis');
    for ($n = 0; $n < 10; $n++) $queue->pushRaw(json_encode(['id' => "$n", 'attempts' => 0, 'n' => $n]));
    assert($queue->size() === 10);
    for ($n = 0; $n < 10; $n++) {
        $job = $queue->pop();
        assert($job->payload()['n'] === $n && $job->attempts() === 1);
        if ($n === 9) $job->release(0);
        else $job->delete();
    }
    $job = $queue->pop();
    assert($job->attempts() === 2);
    $job->delete();
    assert($queue->size() === 0 && $queue->pop() === null);
}

$port = getenv('PORT');
$app = new Container();
if (getenv('STORE') === 'memcached') {
    $client = new Memcached();
    $client->addServer('127.0.0.1', (int) $port);
    checkCache(new Repository(new MemcachedStore($client, 'app')), true);
    exit(0);
}
$connection = ['host' => '127.0.0.1', 'port' => $port, 'database' => 1, 'prefix' => 'app:'];
foreach (['phpredis', 'predis'] as $client) {
    $redis = new RedisManager($app, $client, ['default' => $connection, 'options' => []]);
    if (getenv('PART') === 'queue') checkQueue($redis, $app);
    else checkCache(new Repository(new RedisStore($redis, 'cache', 'default')), getenv('PUT_MANY') === '1');
    $redis->connection()->flushdb();
}
