"""Django Channels' two Redis layers: channels, groups, a reply to one process."""
import asyncio
import os

from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

host = f"redis://127.0.0.1:{os.environ['PORT']}"


async def main():
    kind = RedisPubSubChannelLayer if os.environ['LAYER'] == 'pubsub' else RedisChannelLayer
    options = {'prefix': os.environ['PREFIX']} if 'PREFIX' in os.environ else {}
    layer = kind(hosts=[host], **options)
    names = [await layer.new_channel() for _ in range(4)]
    for name in names:
        await layer.group_add('room', name)
    for n, name in enumerate(names):
        await layer.send(name, {'type': 'one', 'n': n})
    for n, name in enumerate(names):
        assert await asyncio.wait_for(layer.receive(name), 10) == {'type': 'one', 'n': n}
    await layer.group_discard('room', names[3])
    await layer.group_send('room', {'type': 'all'})
    for name in names[:3]:
        assert await asyncio.wait_for(layer.receive(name), 10) == {'type': 'all'}


asyncio.run(main())
