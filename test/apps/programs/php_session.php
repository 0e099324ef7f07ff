<?php
// PHP sessions with the handler HANDLER (redis or memcached); LOCK=1 locks redis sessions, BINARY is memcached's protocol setting.
$port = getenv('PORT');
$handler = getenv('HANDLER');
ini_set('session.save_handler', $handler);
ini_set('session.save_path', $handler === 'redis' ? "tcp://127.0.0.1:$port?database=1" : "127.0.0.1:$port");
ini_set('session.use_cookies', '0');
ini_set('session.cache_limiter', '');
if (getenv('LOCK') === '1') ini_set('redis.session.locking_enabled', '1');
if (getenv('BINARY') !== false) ini_set('memcached.sess_binary_protocol', getenv('BINARY'));
set_error_handler(function ($level, $message) {
    throw new ErrorException($message, 0, $level);
});
for ($n = 0; $n < 20; $n++) {
    session_id("visitor$n");
    assert(session_start());
    $_SESSION['n'] = $n;
    assert(session_write_close());
    session_id("visitor$n");
    assert(session_start());
    assert($_SESSION['n'] === $n);
    assert(session_regenerate_id(true) && session_id() !== "visitor$n");
    assert(session_destroy());
    session_id("visitor$n");
    assert(session_start() && $_SESSION === []);
    assert(session_destroy());
}
