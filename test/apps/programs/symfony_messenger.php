<?php
// Symfony Messenger's Redis transport: a stream with a group, delayed messages, acknowledgement.
require '/usr/share/php/Symfony/Component/Messenger/autoload.php';
spl_autoload_register(function ($class) {
    $path = '/usr/share/php/' . str_replace('\\', '/', $class) . '.php';
    if (is_file($path)) require_once $path;
});

use Symfony\Component\Messenger\Bridge\Redis\Transport\Connection;

$stream = getenv('STREAM') ?: 'messages';
$connection = Connection::fromDsn('redis://127.0.0.1:' . getenv('PORT') . "/$stream/group/consumer");
$connection->setup();
for ($n = 0; $n < 20; $n++) $connection->add("body $n", []);
$connection->add('late', [], 200);
$got = [];
$deadline = microtime(true) + 10;
while (count($got) < 21) {
    assert(microtime(true) < $deadline, 'all messages');
    $message = $connection->get();
    if ($message === null) continue;
    $got[] = json_decode($message['data']['message'] ?? reset($message['data']), true)['body'];
    $connection->ack($message['id']);
}
assert($got === [...array_map(fn($n) => "body $n", range(0, 19)), 'late']);
$connection->cleanup();
