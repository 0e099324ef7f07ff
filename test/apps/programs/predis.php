<?php
// Predis: pipelines, transactions, scan, scripts, subscriptions.
require '/usr/share/php/Predis/Autoloader.php';
Predis\Autoloader::register();
$client = new Predis\Client(['port' => getenv('PORT'), 'database' => 2]);
$keys = array_map(fn($n) => "k$n", range(0, 49));
$client->mset(array_combine($keys, $keys));
assert($client->mget($keys) === $keys);
assert($client->pipeline(function ($pipe) use ($keys) {
    foreach ($keys as $key) $pipe->get($key);
}) === $keys);
$found = iterator_to_array(new Predis\Collection\Iterator\Keyspace($client, 'k*', 10), false);
assert(count(array_unique($found)) === 50);
assert($client->eval('return redis.call("INCRBY", KEYS[1], ARGV[1])', 1, 'n', 4) === 4);
assert($client->transaction(['cas' => true, 'watch' => 'n', 'retry' => 1], function ($tx) {
    $n = $tx->get('n');
    $tx->multi();
    $tx->set('n', $n + 1);
}) == ['OK']);
assert($client->get('n') === '5');
$loop = $client->pubSubLoop();
$loop->subscribe('news');
foreach ($loop as $message) {
    if ($message->kind === 'subscribe') (new Predis\Client(['port' => getenv('PORT')]))->publish('news', 'hello');
    if ($message->kind === 'message') {
        assert($message->payload === 'hello');
        $loop->unsubscribe();
    }
}
if (getenv('SEVERAL') === '1') {
    assert($client->transaction(function ($tx) use ($keys) {
        foreach ($keys as $key) $tx->get($key);
    }) === $keys);
}
