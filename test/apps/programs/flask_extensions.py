"""Flask-Limiter with each of its strategies, and Flask-Caching."""
import os

from flask import Flask
from flask_caching import Cache
from flask_limiter import Limiter

url = f"redis://127.0.0.1:{os.environ['PORT']}/2"
for strategy in ['fixed-window', 'moving-window', 'fixed-window-elastic-expiry']:
    app = Flask(strategy)
    limiter = Limiter(lambda: 'user', app=app, storage_uri=url, strategy=strategy, key_prefix=strategy)
    cache = Cache(app, config={'CACHE_TYPE': 'RedisCache', 'CACHE_REDIS_URL': url, 'CACHE_KEY_PREFIX': strategy})
    calls = []

    @app.route('/')
    @limiter.limit('3 per minute')
    @cache.cached(60)
    def page():
        calls.append(1)
        return 'page'

    web = app.test_client()
    assert [web.get('/').status_code for _ in range(4)] == [200, 200, 200, 429], strategy
    assert len(calls) == 1
    values = {f'k{n}': n for n in range(50)}
    with app.app_context():
        if os.environ.get('SET_MANY') == '1':
            cache.set_many(values)
        else:
            for key, value in values.items():
                cache.set(key, value)
        assert cache.get_dict(*values) == values
        assert cache.clear()
        assert cache.get('k0') is None
