"""pymemcache: plain and pooled client, many keys, compare and swap, noreply by default."""
import os

from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient

address = ('127.0.0.1', int(os.environ['PORT']))
values = {f'k{n}': b'%d' % n for n in range(50)}
for client in [Client(address), PooledClient(address, max_pool_size=4), HashClient([address])]:
    client.set('key', b'value', noreply=False)
    assert client.get('key') == b'value'
    assert not client.add('key', b'other', noreply=False)
    assert client.set_many(values, noreply=False) == []
    assert client.get_many(list(values)) == values
    value, token = client.gets('key')
    assert client.cas('key', b'new', token) and client.cas('key', b'newer', token) is False
    client.set('n', b'1', noreply=False)
    assert client.incr('n', 4) == 5
    client.delete_many(['k0', 'k1'], noreply=False)
    assert client.get('k0') is None
client = Client(address, no_delay=True)
for n in range(200):
    client.set('quick', b'%d' % n)
    assert client.get('quick') == b'%d' % n
assert client.version().startswith(b'1.')
assert b'pid' in client.stats()
assert client.flush_all(noreply=False)
assert client.get('quick') is None
