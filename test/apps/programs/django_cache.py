"""Django's cache and sessions with django-redis."""
import os

import django
from django.conf import settings

location = f"redis://127.0.0.1:{os.environ['PORT']}/1"
settings.configure(
    CACHES={'default': {'BACKEND': 'django_redis.cache.RedisCache', 'LOCATION': location}},
    SESSION_ENGINE='django.contrib.sessions.backends.cache',
    INSTALLED_APPS=['django.contrib.sessions'],
    SECRET_KEY='secret',
)
django.setup()

from importlib import import_module

from django.core.cache import cache

SessionStore = import_module(settings.SESSION_ENGINE).SessionStore
for n in range(20):
    session = SessionStore()
    session['n'] = n
    session.save()
    assert SessionStore(session.session_key)['n'] == n
    session.flush()
    assert not SessionStore().exists(session.session_key)
assert cache.add('once', 1, 60) and not cache.add('once', 2, 60)
assert cache.get_or_set('made', lambda: [1, 2]) == [1, 2]
assert cache.incr('once', 4) == 5
assert cache.touch('once', 100)
with cache.lock('lock', timeout=5):
    pass
for n in range(50):
    cache.set(f'k{n}', n)
assert cache.get_many([f'k{n}' for n in range(50)]) == {f'k{n}': n for n in range(50)}
assert cache.delete_many(['k0', 'k1']) == 2
assert len(list(cache.iter_keys('k*'))) == 48
assert cache.delete_pattern('k*') == 48
if os.environ.get('SET_MANY') == '1':
    cache.set_many({f'k{n}': n for n in range(50)})
    assert cache.get('k49') == 49
cache.clear()
assert cache.get('once') is None
