// Sessions of an Express application in connect-redis over node-redis.
import assert from 'node:assert/strict'
import { RedisStore } from 'connect-redis'
import express from 'express'
import session from 'express-session'
import { createClient } from 'redis'

const client = createClient({ url: `redis://127.0.0.1:${process.env.PORT}` })
client.on('error', error => console.error(String(error)))
await client.connect()
const store = new RedisStore({ client })
const app = express()
app.use(session({ store, secret: 'secret', resave: false, saveUninitialized: false }))
app.get('/count', (request, response) => {
  request.session.count = (request.session.count ?? 0) + 1
  response.json(request.session.count)
})
app.get('/leave', (request, response) => request.session.destroy(() => response.json(true)))
app.use((error, _request, response, _next) => response.status(500).json(String(error)))
const server = app.listen(0, '127.0.0.1')
await new Promise(resolve => server.once('listening', resolve))

async function get(path, cookie) {
  const headers = cookie === undefined ? {} : { cookie }
  const response = await fetch(`http://127.0.0.1:${server.address().port}${path}`, { headers })
  return { body: await response.json(), cookie: response.headers.get('set-cookie')?.split(';')[0] ?? cookie }
}

const visitors = await Promise.all(Array.from({ length: 20 }, () => get('/count')))
for (const { body, cookie } of visitors) {
  assert.equal(body, 1)
  assert.equal((await get('/count', cookie)).body, 2)
}
assert.equal(await new Promise((resolve, reject) => store.length((e, n) => (e ? reject(e) : resolve(n)))), 20)
assert.equal((await get('/leave', visitors[0].cookie)).body, true)
assert.equal((await get('/count', visitors[0].cookie)).body, 1)
await new Promise((resolve, reject) => store.clear(error => (error ? reject(error) : resolve())))
assert.equal((await get('/count', visitors[1].cookie)).body, 1)
process.exit(0)
