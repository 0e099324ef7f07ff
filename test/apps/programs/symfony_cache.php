<?php
// Symfony Cache: RedisAdapter over phpredis and Predis, tags, or (BACKEND=memcached) MemcachedAdapter with the options in DSN_OPTIONS.
require '/usr/share/php/Symfony/Component/Cache/autoload.php';
require '/usr/share/php/Predis/Autoloader.php';
Predis\Autoloader::register();

use Symfony\Component\Cache\Adapter\MemcachedAdapter;
use Symfony\Component\Cache\Adapter\RedisAdapter;
use Symfony\Component\Cache\Adapter\RedisTagAwareAdapter;
use Symfony\Component\Cache\Adapter\TagAwareAdapter;

final class Errors extends Psr\Log\AbstractLogger
{
    public function log($level, $message, array $context = []): void
    {
        throw new Exception(($context['exception'] ?? null)?->getMessage() ?? $message);
    }
}

function check($pool, bool $tags): void
{
    $pool->setLogger(new Errors());
    assert($pool->get('made', fn() => [1, 2]) === [1, 2] && $pool->get('made', fn() => 3) === [1, 2]);
    for ($n = 0; $n < 50; $n++) {
        $item = $pool->getItem("k$n")->set($n)->expiresAfter(60);
        if ($tags) $item->tag(['all', "t$n"]);
        $pool->saveDeferred($item);
    }
    assert($pool->commit());
    $found = [];
    foreach ($pool->getItems(array_map(fn($n) => "k$n", range(0, 49))) as $item) $found[] = $item->get();
    assert($found === range(0, 49));
    assert($pool->deleteItems(['k0', 'k1']) && !$pool->hasItem('k0'));
    if ($tags) assert($pool->invalidateTags(['all']) && !$pool->hasItem('k2'));
    assert($pool->clear() && !$pool->hasItem('made'));
}

$port = getenv('PORT');
if (getenv('BACKEND') === 'memcached') {
    $client = MemcachedAdapter::createConnection("memcached://127.0.0.1:$port" . getenv('DSN_OPTIONS'));
    check(new MemcachedAdapter($client, 'pages'), false);
} else {
    foreach (['Redis', 'Predis\Client'] as $class) {
        $client = RedisAdapter::createConnection("redis://127.0.0.1:$port/3", ['class' => $class]);
        check(new RedisAdapter($client, "pages"), false);
        check(new TagAwareAdapter(new RedisAdapter($client, 'tagged')), true);
        if (getenv('TAGS') === '1') check(new RedisTagAwareAdapter($client, 'own'), true);
    }
}
