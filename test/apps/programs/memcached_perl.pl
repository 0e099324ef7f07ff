# Cache::Memcached and Cache::Memcached::Fast.
use strict;
use warnings;
use Cache::Memcached;
use Cache::Memcached::Fast;

my $options = { servers => ["127.0.0.1:$ENV{PORT}"] };
my %values = map { ("k$_" => $_) } 0 .. 49;
for my $client (Cache::Memcached->new($options), Cache::Memcached::Fast->new($options)) {
    die 'set' unless $client->set('key', { a => [1] }) && $client->get('key')->{a}[0] == 1;
    die 'add' if $client->add('key', 'other');
    $client->set($_, $values{$_}) for keys %values;
    my $found = $client->get_multi(keys %values);
    die 'get_multi' if grep { $found->{$_} != $values{$_} } keys %values;
    $client->set('n', 1);
    die 'incr' unless $client->incr('n', 4) == 5;
    die 'delete' unless $client->delete('key') && !defined $client->get('key');
    $client->flush_all;
    die 'flush_all' if defined $client->get('n');
}
my $fast = Cache::Memcached::Fast->new($options);
die 'set_multi' if grep { !$_ } values %{ $fast->set_multi(map { [$_, $values{$_}] } keys %values) };
my $cas = $fast->gets('k1');
die 'cas' unless $fast->cas('k1', $cas->[0], 'new') && !$fast->cas('k1', $cas->[0], 'newer');
for my $n (1 .. 100) {
    $fast->set('quick', $n);
    die 'quick' unless $fast->get('quick') == $n;
}
