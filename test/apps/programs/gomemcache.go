// gomemcache: one value and many, counters, compare and swap.
package main

import (
	"fmt"
	"os"

	"github.com/bradfitz/gomemcache/memcache"
)

func check(holds bool, what string) {
	if !holds {
		panic(what)
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	client := memcache.New("127.0.0.1:" + os.Getenv("PORT"))
	var keys []string
	for n := 0; n < 50; n++ {
		key := fmt.Sprintf("k%d", n)
		keys = append(keys, key)
		must(client.Set(&memcache.Item{Key: key, Value: []byte(key)}))
	}
	items, err := client.GetMulti(keys)
	must(err)
	for _, key := range keys {
		check(string(items[key].Value) == key, "GetMulti")
	}
	check(client.Add(&memcache.Item{Key: "k0", Value: []byte("x")}) == memcache.ErrNotStored, "Add")
	item, err := client.Get("k0")
	must(err)
	item.Value = []byte("new")
	must(client.CompareAndSwap(item))
	check(client.CompareAndSwap(item) == memcache.ErrCASConflict, "CompareAndSwap")
	must(client.Set(&memcache.Item{Key: "n", Value: []byte("1")}))
	n, err := client.Increment("n", 4)
	must(err)
	check(n == 5, "Increment")
	must(client.Touch("k1", 100))
	must(client.Delete("k1"))
	_, err = client.Get("k1")
	check(err == memcache.ErrCacheMiss, "Delete")
}
