"""Django's cache with its own memcached backends."""
import os

import django
from django.conf import settings

backend = f"django.core.cache.backends.memcached.{os.environ['BACKEND']}"
settings.configure(CACHES={'default': {'BACKEND': backend, 'LOCATION': f"127.0.0.1:{os.environ['PORT']}"}})
django.setup()

from django.core.cache import cache

assert cache.add('once', 1, 60) and not cache.add('once', 2, 60)
assert cache.incr('once', 4) == 5
assert cache.touch('once', 100)
values = {f'k{n}': {'n': n} for n in range(50)}
assert cache.set_many(values) == []
assert cache.get_many(values) == values
cache.delete_many(['k0', 'k1'])
assert cache.get('k0') is None
assert cache.get_or_set('made', lambda: [1, 2]) == [1, 2]
cache.clear()
assert cache.get('once') is None
