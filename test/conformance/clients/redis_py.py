"""redis-py with its defaults against the pool on the port given: strings, pipelines, transactions, scripts, pub/sub, blocking, SCAN."""

import sys
import threading

import redis

port = int(sys.argv[1])
client = redis.Redis(host="127.0.0.1", port=port, decode_responses=True, client_name="redis-py")
checks = 0


def check(actual, expected):
    global checks
    assert actual == expected, f"{actual!r} in place of {expected!r}"
    checks += 1


names = [f"py:{number}" for number in range(100)]
check(client.ping(), True)
check(client.flushall(), True)
check(client.mset({name: name for name in names}), True)
check(client.mget(names), names)
check(sorted(client.scan_iter(match="py:*", count=7)), sorted(names))
check(sorted(client.keys("py:*")), sorted(names))
check(client.dbsize(), len(names))
check(client.exists(*names), len(names))
check(client.delete(*names), len(names))
check(client.echo("hello"), "hello")
check(client.client_getname(), "redis-py")
server = client.info("server")
check(server.get("redis_mode", server.get("server_mode")), "standalone")
check(client.config_get("maxmemory"), {"maxmemory": "0"})

with client.pipeline(transaction=False) as pipe:
    for name in names:
        pipe.set(name, 1).incr(name)
    check(pipe.execute(), [True, 2] * len(names))

with client.pipeline() as pipe:
    pipe.set("py:{t}1", 1).incr("py:{t}1").get("py:{t}2")
    check(pipe.execute(), [True, 2, None])

with client.pipeline() as pipe:
    pipe.watch("py:{t}1")
    client.set("py:{t}1", "changed")
    pipe.multi()
    pipe.set("py:{t}1", "lost")
    try:
        pipe.execute()
        raise AssertionError("WATCH did not see the change")
    except redis.WatchError:
        checks += 1

script = client.register_script("return {KEYS[1], ARGV[1]}")
for name in names[:10]:
    check(script(keys=[name], args=["a"]), [name, "a"])

subscription = client.pubsub(ignore_subscribe_messages=True)
subscription.subscribe("py:one", "py:two")
subscription.psubscribe("py:t*")
while subscription.get_message(timeout=0.05) is not None:
    pass
client.publish("py:one", "hello")
message = None
while message is None:
    message = subscription.get_message(timeout=1)
check((message["type"], message["channel"], message["data"]), ("message", "py:one", "hello"))
subscription.close()

threading.Timer(0.05, lambda: client.rpush("py:list", "pushed")).start()
check(client.blpop("py:list", timeout=5), ("py:list", "pushed"))
check(client.blpop("py:list", timeout=1), None)

with client.lock("py:lock", timeout=5):
    check(client.exists("py:lock"), 1)
check(client.exists("py:lock"), 0)

client.xgroup_create("py:stream", "group", mkstream=True)
entry = client.xadd("py:stream", {"field": "value"})
check(client.xreadgroup("group", "consumer", {"py:stream": ">"}), [["py:stream", [(entry, {"field": "value"})]]])
check(client.xack("py:stream", "group", entry), 1)

for command in (["NONSENSE"], ["GET"], ["RENAME", "py:1", "other"]):
    try:
        client.execute_command(*command)
    except redis.ResponseError:
        checks += 1
check(client.ping(), True)

third = redis.Redis(host="127.0.0.1", port=port, db=3, decode_responses=True)
check(third.set("py:db", "three"), True)
check(client.get("py:db"), None)
with third.pipeline() as pipe:
    check(pipe.get("py:db").execute(), ["three"])
check(third.move("py:db", 4), True)
check(third.get("py:db"), None)
fourth = redis.Redis(host="127.0.0.1", port=port, db=4, decode_responses=True)
check(fourth.get("py:db"), "three")
check(fourth.delete("py:db"), 1)
try:
    redis.Redis(host="127.0.0.1", port=port, db=40).set("py:db", "lost")
    raise AssertionError("database 40 was selected")
except redis.ResponseError:
    checks += 1
check(client.get("py:db"), None)
print(f"{checks} checks")
