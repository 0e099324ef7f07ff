# Redis.pm: pipelines, scripts, transactions, subscriptions.
use strict;
use warnings;
use Redis;

my $port = $ENV{PORT};
my $client = Redis->new(server => "127.0.0.1:$port");
my @keys = map { "k$_" } 0 .. 49;
$client->mset(map { ($_, $_) } @keys);
die 'mget' unless "@{[$client->mget(@keys)]}" eq "@keys";
my @got;
$client->get($_, sub { push @got, $_[0] }) for @keys;
$client->wait_all_responses;
die 'pipeline' unless "@got" eq "@keys";
die 'script' unless $client->eval('return redis.call("INCRBY", KEYS[1], ARGV[1])', 1, 'n', 4) == 4;
$client->multi;
$client->incr('n');
die 'multi' unless ($client->exec)[0] == 5;
die 'keys' unless $client->keys('k*') == 50;
$client->select(3);
die 'select' if defined $client->get('k0');
my $heard;
my $subscriber = Redis->new(server => "127.0.0.1:$port");
$subscriber->subscribe('news', sub { $heard = $_[0] });
$client->publish('news', 'hello');
$subscriber->wait_for_messages(1) until defined $heard;
die 'news' unless $heard eq 'hello';
