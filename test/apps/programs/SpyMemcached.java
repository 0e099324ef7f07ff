// spymemcached; BINARY=1 asks for the binary protocol.
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import net.spy.memcached.BinaryConnectionFactory;
import net.spy.memcached.CASValue;
import net.spy.memcached.ConnectionFactory;
import net.spy.memcached.DefaultConnectionFactory;
import net.spy.memcached.MemcachedClient;

public class SpyMemcached {
    static void check(boolean holds) {
        if (!holds) throw new IllegalStateException("failed");
    }

    public static void main(String[] args) {
        try {
            use();
            System.exit(0);
        } catch (Throwable error) {
            error.printStackTrace();
            System.exit(1);
        }
    }

    static void use() throws Exception {
        boolean binary = "1".equals(System.getenv("BINARY"));
        ConnectionFactory factory = binary ? new BinaryConnectionFactory() : new DefaultConnectionFactory();
        InetSocketAddress address = new InetSocketAddress("127.0.0.1", Integer.parseInt(System.getenv("PORT")));
        MemcachedClient client = new MemcachedClient(factory, List.of(address));
        check(client.set("key", 100, "value").get(10, TimeUnit.SECONDS));
        check("value".equals(client.get("key")));
        check(!client.add("key", 100, "other").get(10, TimeUnit.SECONDS));
        Map<String, Object> values = new HashMap<>();
        for (int n = 0; n < 50; n++) {
            values.put("k" + n, n);
            client.set("k" + n, 100, n);
        }
        check(client.getBulk(values.keySet()).equals(values));
        CASValue<Object> token = client.gets("key");
        check(client.cas("key", token.getCas(), "new").name().equals("OK"));
        check(client.incr("n", 4, 1L) == 1 && client.incr("n", 4) == 5);
        check(client.delete("key").get(10, TimeUnit.SECONDS) && client.get("key") == null);
        check(client.flush().get(10, TimeUnit.SECONDS));
    }
}
