// redigo: a connection pool, pipelines, scripts by hash, transactions, subscriptions, databases.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/gomodule/redigo/redis"
)

func check(holds bool, what string) {
	if !holds {
		panic(what)
	}
}

func must(reply interface{}, err error) interface{} {
	if err != nil {
		panic(err)
	}
	return reply
}

func main() {
	address := "127.0.0.1:" + os.Getenv("PORT")
	pool := &redis.Pool{MaxIdle: 3, Dial: func() (redis.Conn, error) { return redis.Dial("tcp", address) }}
	conn := pool.Get()
	keys := redis.Args{}
	pairs := redis.Args{}
	for n := 0; n < 50; n++ {
		key := fmt.Sprintf("k%d", n)
		keys = keys.Add(key)
		pairs = pairs.Add(key, key)
	}
	must(conn.Do("MSET", pairs...))
	values, err := redis.Strings(conn.Do("MGET", keys...))
	must(nil, err)
	check(values[49] == "k49", "MGET")
	for _, key := range keys {
		must(nil, conn.Send("GET", key))
	}
	must(nil, conn.Flush())
	for _, key := range keys {
		value, err := redis.String(conn.Receive())
		must(nil, err)
		check(value == key, "pipeline")
	}
	script := redis.NewScript(1, `return redis.call("INCRBY", KEYS[1], ARGV[1] * 2)`)
	for _, expected := range []int{4, 8} {
		n, err := redis.Int(script.Do(conn, "n", 2))
		must(nil, err)
		check(n == expected, "script")
	}
	must(conn.Do("WATCH", "n"))
	must(nil, conn.Send("MULTI"))
	must(nil, conn.Send("INCR", "n"))
	replies, err := redis.Ints(conn.Do("EXEC"))
	must(nil, err)
	check(replies[0] == 9, "MULTI")

	other, err := redis.Dial("tcp", address, redis.DialDatabase(3))
	must(nil, err)
	reply := must(other.Do("GET", "k0"))
	check(reply == nil, "database")
	go func() {
		time.Sleep(100 * time.Millisecond)
		c, _ := redis.Dial("tcp", address, redis.DialDatabase(3))
		c.Do("RPUSH", "queue", "job")
	}()
	job, err := redis.Strings(other.Do("BLPOP", "queue", 10))
	must(nil, err)
	check(job[1] == "job", "BLPOP")

	subscriber := redis.PubSubConn{Conn: pool.Get()}
	must(nil, subscriber.Subscribe("news"))
	for heard := false; !heard; {
		switch message := subscriber.Receive().(type) {
		case redis.Subscription:
			must(conn.Do("PUBLISH", "news", "hello"))
		case redis.Message:
			check(string(message.Data) == "hello", "news")
			heard = true
		case error:
			panic(message)
		}
	}
	if os.Getenv("SEVERAL") == "1" {
		must(nil, conn.Send("MULTI"))
		for _, key := range keys {
			must(nil, conn.Send("GET", key))
		}
		values, err := redis.Strings(conn.Do("EXEC"))
		must(nil, err)
		check(values[49] == "k49", "MULTI of several keys")
	}
}
