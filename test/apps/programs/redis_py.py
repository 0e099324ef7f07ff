"""redis-py: pipelines, transactions, scripts, locks, subscriptions, databases, blocking reads."""
import os
import threading

import redis

port = int(os.environ['PORT'])
client = redis.Redis(port=port, decode_responses=True)
keys = [f'k{n}' for n in range(50)]
client.mset({key: key for key in keys})
assert client.mget(keys) == keys
assert sorted(client.scan_iter('k*')) == sorted(keys)
with client.pipeline(transaction=False) as pipe:
    for key in keys:
        pipe.get(key)
    assert pipe.execute() == keys
double = client.register_script('return redis.call("INCRBY", KEYS[1], ARGV[1] * 2)')
assert [double(keys=['n'], args=[2]), double(keys=['n'], args=[2])] == [4, 8]
with client.lock('lock', timeout=5):
    assert not client.lock('lock').acquire(blocking=False)
listener = client.pubsub()
listener.subscribe('news')
assert listener.get_message(timeout=5)['type'] == 'subscribe'
assert client.publish('news', 'hello') == 1
assert listener.get_message(timeout=5)['data'] == 'hello'
other = redis.Redis(port=port, db=3, decode_responses=True)
assert other.get('k0') is None
threading.Timer(0.1, lambda: other.rpush('queue', 'job')).start()
assert redis.Redis(port=port, db=3, decode_responses=True).blpop('queue', 10) == ('queue', 'job')


def step(pipe):
    value = int(pipe.get('watched') or 0)
    pipe.multi()
    pipe.set('watched', value + 1)


client.transaction(step, 'watched')
assert client.get('watched') == '1'
with client.pipeline() as pipe:
    for key in keys:
        pipe.get(key)
    assert pipe.execute() == keys
