<?php
// php-memcached; BINARY=1 asks for the binary protocol.
$client = new Memcached();
$client->setOption(Memcached::OPT_BINARY_PROTOCOL, getenv('BINARY') === '1');
$client->addServer('127.0.0.1', (int) getenv('PORT'));
if (!$client->set('key', ['a' => [1]])) {
    fwrite(STDERR, $client->getResultMessage() . ': ' . $client->getLastErrorMessage() . "\n");
    exit(1);
}
assert($client->get('key') === ['a' => [1]]);
assert(!$client->add('key', 'other'));
$values = array_combine(array_map(fn($n) => "k$n", range(0, 49)), range(0, 49));
assert($client->setMulti($values) && $client->getMulti(array_keys($values), Memcached::GET_PRESERVE_ORDER) === $values);
$entry = $client->get('key', null, Memcached::GET_EXTENDED);
assert($client->cas($entry['cas'], 'key', 'new') && !$client->cas($entry['cas'], 'key', 'newer'));
$client->set('n', 1);
assert($client->increment('n', 4) === 5 && $client->touch('n', 100));
assert($client->deleteMulti(['k0', 'k1']) === ['k0' => true, 'k1' => true]);
assert($client->delete('key') && $client->get('key') === false && $client->flush());
