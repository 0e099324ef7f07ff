"""python-memcached."""
import os

import memcache

client = memcache.Client([f"127.0.0.1:{os.environ['PORT']}"])
assert client.set('key', {'a': [1]}) and client.get('key') == {'a': [1]}
assert not client.add('key', 'other')
values = {f'k{n}': n for n in range(50)}
assert client.set_multi(values) == []
assert client.get_multi(list(values)) == values
assert client.gets('key') is not None and client.cas('key', 'new')
client.set('n', 1)
assert client.incr('n', 4) == 5
assert client.delete('key') and client.get('key') is None
assert client.get_stats()[0][1]['pid']
client.flush_all()
assert client.get('n') is None
