"""pylibmc, over libmemcached; BINARY=1 asks for the binary protocol."""
import os

import pylibmc

client = pylibmc.Client([f"127.0.0.1:{os.environ['PORT']}"], binary=os.environ.get('BINARY') == '1')
client.behaviors = {'tcp_nodelay': True, 'cas': True}
assert client.set('key', {'a': [1]})
assert client.get('key') == {'a': [1]}
assert not client.add('key', 'other')
values = {f'k{n}': n for n in range(50)}
assert client.set_multi(values) == []
assert client.get_multi(list(values)) == values
value, token = client.gets('key')
assert client.cas('key', 'new', token)
client.set('n', 1)
assert client.incr('n', 4) == 5
assert client.set('large', 'x' * 900_000, min_compress_len=1000)
assert client.get('large') == 'x' * 900_000
assert client.delete('key') and client.get('key') is None
assert client.flush_all()
