// express-rate-limit with rate-limit-redis over node-redis: scripts by SCRIPT LOAD and EVALSHA.
import assert from 'node:assert/strict'
import express from 'express'
import { rateLimit } from 'express-rate-limit'
import { RedisStore } from 'rate-limit-redis'
import { createClient } from 'redis'

const client = createClient({ url: `redis://127.0.0.1:${process.env.PORT}` })
client.on('error', error => console.error(String(error)))
await client.connect()
const app = express()
const store = new RedisStore({ sendCommand: (...args) => client.sendCommand(args) })
const keyGenerator = request => request.get('x-user')
app.use(rateLimit({ windowMs: 60_000, limit: 3, store, keyGenerator }))
app.get('/', (_request, response) => response.json(true))
const server = app.listen(0, '127.0.0.1')
await new Promise(resolve => server.once('listening', resolve))
const url = `http://127.0.0.1:${server.address().port}/`
for (let user = 0; user < 20; user++) {
  const found = []
  for (let n = 0; n < 4; n++) found.push((await fetch(url, { headers: { 'x-user': `u${user}` } })).status)
  assert.deepEqual(found, [200, 200, 200, 429])
}
process.exit(0)
