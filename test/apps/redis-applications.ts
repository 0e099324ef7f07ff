/** Applications and client libraries of Redis. Those from npm are installed with the versions of `npm/package.json`. */

import { type Application, ONE_SERVER, REFUSED, type Remedy, SPLIT } from './application.ts'

/** Keys with the application's own prefix lie on one server. */
function tagged(prefix: string, text: string): Remedy {
  return { text: `${text}, \`hash_tag: "{}"\``, keys: { hash_tag: '"{}"' }, env: { PREFIX: prefix } }
}

const MULTI = 'its MULTI has keys of several servers'

/** Over the project's own packages: short enough for `npm test`. */
export const REDIS_SHORT: readonly Application[] = (
  [
    {
      name: 'ioredis',
      tried: '6.0',
      program: 'ioredis.mjs',
      packages: [],
      severalFail: REFUSED,
      remedy: SPLIT,
      why: MULTI,
    },
    {
      name: 'node-redis',
      tried: '6.3',
      program: 'node-redis.mjs',
      packages: [],
      severalFail: REFUSED,
      remedy: SPLIT,
      why: MULTI,
    },
  ] satisfies Omit<Application, 'protocol'>[]
).map(application => ({ ...application, protocol: 'redis' }))

export const REDIS_FROM_NPM: readonly Application[] = (
  [
    {
      name: 'BullMQ',
      tried: '6.7',
      program: 'bullmq.mjs',
      severalFail: REFUSED,
      remedy: tagged('{bull}', '`prefix: "{bull}"` of Queue, Worker, QueueEvents and FlowProducer'),
      why: 'its scripts move a job between keys of its queue; a flow needs all its queues on one server',
    },
    {
      name: 'Bull',
      tried: '4.16',
      program: 'bull.mjs',
      severalFail: REFUSED,
      remedy: tagged('{bull}', '`prefix: "{bull}"`'),
      why: 'as BullMQ',
    },
    {
      name: 'Bee-Queue',
      tried: '2.0',
      program: 'bee-queue.mjs',
      severalFail: REFUSED,
      remedy: tagged('{bq}', '`prefix: "{bq}"`'),
      why: 'as BullMQ',
    },
    {
      name: 'node-resque',
      tried: '9.7',
      program: 'node-resque.mjs',
      severalFail: /CROSSSLOT|EXECABORT/,
      remedy: tagged('{resque}', '`namespace: "{resque}"`'),
      why: 'a script takes a job from its queue and notes the worker',
    },
    { name: 'express-session, connect-redis', tried: '1.19, 10.0', program: 'express-session.mjs' },
    { name: 'rate-limiter-flexible', tried: '11.4', program: 'rate-limiter-flexible.mjs' },
    { name: 'express-rate-limit, rate-limit-redis', tried: '8.7, 6.0', program: 'rate-limit-redis.mjs' },
    { name: 'Socket.IO, @socket.io/redis-adapter', tried: '4.8, 8.3', program: 'socket-io.mjs' },
    {
      name: 'Socket.IO, @socket.io/redis-streams-adapter',
      tried: '4.8, 0.3',
      program: 'socket-io.mjs',
      env: { STREAMS: '1' },
    },
    {
      name: 'cache-manager, Keyv, @keyv/redis',
      tried: '7.2, 5.6, 5.1',
      program: 'cache-manager.mjs',
      severalFail: REFUSED,
      remedy: SPLIT,
      why: '`mset` is a MULTI',
    },
    {
      name: 'Redlock',
      tried: '4.2',
      program: 'redlock.mjs',
      why: 'a lock over several resources at once needs a hash tag in their names',
    },
  ] satisfies Omit<Application, 'protocol'>[]
).map(application => ({ ...application, protocol: 'redis' }))

export const REDIS_FROM_DEBIAN: readonly Application[] = (
  [
    {
      name: 'redis-py',
      tried: '4.3',
      program: 'redis_py.py',
      packages: ['python3-redis'],
      severalFail: REFUSED,
      remedy: SPLIT,
      why: '`pipeline()` is a MULTI',
    },
    {
      name: 'RQ',
      tried: '1.13',
      program: 'rq_jobs.py',
      packages: ['python3-rq'],
      severalFail: REFUSED,
      remedy: ONE_SERVER,
      why: 'it watches and changes jobs, queues and registries together, and has no prefix',
    },
    {
      name: 'Celery, broker and results',
      tried: '5.2',
      program: 'celery_tasks.py',
      packages: ['python3-celery', 'python3-redis'],
      severalFail: REFUSED,
      remedy: {
        text: "`broker_transport_options = {'global_keyprefix': '{celery}'}`, `hash_tag: \"{}\"`; for chords `multi: split` too",
        keys: { hash_tag: '"{}"', multi: 'split' },
        env: { PREFIX: '{celery}' },
      },
      why: 'BRPOP over the queues of all priorities',
    },
    {
      name: 'Django sessions and cache, django-redis',
      tried: '3.2, 5.2',
      program: 'django_cache.py',
      packages: ['python3-django-redis'],
    },
    {
      name: "Django's `cache.set_many`, django-redis",
      tried: '3.2, 5.2',
      program: 'django_cache.py',
      packages: ['python3-django-redis'],
      env: { SET_MANY: '1' },
      severalFail: REFUSED,
      remedy: SPLIT,
      why: 'it is a MULTI',
    },
    {
      name: 'Django Channels, `RedisChannelLayer`',
      tried: '4.0',
      program: 'channels_layer.py',
      packages: ['python3-channels-redis'],
      env: { LAYER: 'core' },
      severalFail: /script without keys/,
      remedy: { text: '`channels_redis.pubsub.RedisPubSubChannelLayer`', env: { LAYER: 'pubsub' } },
      why: 'its scripts name no keys',
    },
    {
      name: 'Flask-Limiter, Flask-Caching',
      tried: '3.3, 2.0',
      program: 'flask_extensions.py',
      packages: ['python3-flask-limiter', 'python3-flask-caching', 'python3-redis'],
    },
    {
      name: 'phpredis',
      tried: '5.3',
      program: 'phpredis.php',
      packages: ['php-redis', 'php-cli'],
    },
    {
      name: 'phpredis, `multi()`',
      tried: '5.3',
      program: 'phpredis.php',
      packages: ['php-redis', 'php-cli'],
      env: { SEVERAL: '1' },
      severalFail: REFUSED,
      remedy: SPLIT,
      why: MULTI,
    },
    {
      name: 'PHP sessions, `session.save_handler = redis`, also with `redis.session.locking_enabled = 1`',
      tried: '8.2, 5.3',
      program: 'php_session.php',
      packages: ['php-redis', 'php-cli'],
      env: { HANDLER: 'redis', LOCK: '1' },
    },
    { name: 'Predis', tried: '1.1', program: 'predis.php', packages: ['php-predis', 'php-cli'] },
    {
      name: 'Predis, `transaction()`',
      tried: '1.1',
      program: 'predis.php',
      packages: ['php-predis', 'php-cli'],
      env: { SEVERAL: '1' },
      severalFail: REFUSED,
      remedy: SPLIT,
      why: MULTI,
    },
    {
      name: 'Symfony Cache, `RedisAdapter`, `TagAwareAdapter`',
      tried: '5.4',
      program: 'symfony_cache.php',
      packages: ['php-symfony-cache', 'php-redis', 'php-predis', 'php-cli'],
    },
    {
      name: 'Symfony Cache, `RedisTagAwareAdapter`',
      tried: '5.4',
      program: 'symfony_cache.php',
      packages: ['php-symfony-cache', 'php-redis', 'php-predis', 'php-cli'],
      env: { TAGS: '1' },
      severalFail: /invalidateTags/,
      remedy: { text: '`TagAwareAdapter` over `RedisAdapter`', env: { TAGS: '0' } },
      why: 'its script deletes entries that it does not declare, and reaches those of its own server only: entries outlive their tag without an error',
    },
    {
      name: 'Symfony Messenger, Redis transport',
      tried: '5.4',
      program: 'symfony_messenger.php',
      packages: ['php-symfony-redis-messenger', 'php-redis', 'php-cli'],
    },
    {
      name: 'Laravel cache, locks and tags, over phpredis and Predis',
      tried: '8.83',
      program: 'laravel.php',
      packages: ['php-illuminate-cache', 'php-illuminate-queue', 'php-illuminate-redis', 'php-redis', 'php-predis'],
      env: { PART: 'cache' },
    },
    {
      name: 'Laravel `Cache::putMany`',
      tried: '8.83',
      program: 'laravel.php',
      packages: ['php-illuminate-cache', 'php-illuminate-queue', 'php-illuminate-redis', 'php-redis', 'php-predis'],
      env: { PART: 'cache', PUT_MANY: '1' },
      severalFail: REFUSED,
      remedy: SPLIT,
      why: 'it is a MULTI',
    },
    {
      name: 'Laravel queues',
      tried: '8.83',
      program: 'laravel.php',
      packages: ['php-illuminate-cache', 'php-illuminate-queue', 'php-illuminate-redis', 'php-redis', 'php-predis'],
      env: { PART: 'queue' },
      severalFail: REFUSED,
      remedy: {
        text: "`'queue' => '{default}'` in `config/queue.php`, `hash_tag: \"{}\"`",
        keys: { hash_tag: '"{}"' },
        env: { QUEUE: '{default}' },
      },
      why: 'its scripts move a job between keys of its queue',
    },
    { name: 'redis-rb', tried: '4.8', program: 'redis_rb.rb', packages: ['ruby-redis'] },
    {
      name: 'redis-rb, `multi`',
      tried: '4.8',
      program: 'redis_rb.rb',
      packages: ['ruby-redis'],
      env: { SEVERAL: '1' },
      severalFail: REFUSED,
      remedy: SPLIT,
      why: MULTI,
    },
    {
      name: 'Sidekiq with several queues',
      tried: '6.4',
      program: 'sidekiq_jobs.rb',
      packages: ['ruby-sidekiq', 'ruby-redis'],
      severalFail: REFUSED,
      remedy: ONE_SERVER,
      why: 'BRPOP over all its queues, and no prefix',
    },
    {
      name: 'Sidekiq with one queue',
      tried: '6.4',
      program: 'sidekiq_jobs.rb',
      packages: ['ruby-sidekiq', 'ruby-redis'],
      env: { QUEUES: 'default' },
      severalFail: REFUSED,
      remedy: SPLIT,
      why: 'its heartbeat is a MULTI',
    },
    {
      name: "Rails' `RedisCacheStore`",
      tried: '6.1',
      program: 'rails_cache.rb',
      packages: ['ruby-activesupport', 'ruby-redis'],
    },
    { name: 'Redis.pm (Perl)', tried: '2.000', program: 'redis_perl.pl', packages: ['libredis-perl'] },
    { name: 'redis-lua', tried: '2.0.5', program: 'redis_lua.lua', packages: ['lua-redis', 'lua5.1'] },
  ] satisfies Omit<Application, 'protocol'>[]
).map(application => ({ ...application, protocol: 'redis' }))
