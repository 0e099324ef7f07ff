"""python-binary-memcached has the binary protocol only."""
import os

import bmemcached

client = bmemcached.Client([f"127.0.0.1:{os.environ['PORT']}"], socket_timeout=5)
assert client.set('key', 'value')
assert client.get('key') == 'value'
