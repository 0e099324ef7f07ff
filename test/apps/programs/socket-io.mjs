// Two Socket.IO servers that reach each other's clients, by publish and subscribe or (STREAMS=1) by a stream.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { createAdapter } from '@socket.io/redis-adapter'
import { createAdapter as createStreamsAdapter } from '@socket.io/redis-streams-adapter'
import { createClient } from 'redis'
import { Server } from 'socket.io'
import { io as connect } from 'socket.io-client'

async function open() {
  const client = createClient({ url: `redis://127.0.0.1:${process.env.PORT}` })
  client.on('error', error => {
    console.error(String(error))
    process.exit(1)
  })
  return client.connect()
}

async function start() {
  const adapter =
    process.env.STREAMS === '1' ? createStreamsAdapter(await open()) : createAdapter(await open(), await open())
  const http = createServer()
  const io = new Server(http, { adapter })
  io.on('connection', socket => socket.join('room'))
  await new Promise(resolve => http.listen(0, '127.0.0.1', resolve))
  return { io, url: `http://127.0.0.1:${http.address().port}` }
}

const nodes = [await start(), await start()]
const clients = nodes.map(node => connect(node.url, { transports: ['websocket'] }))
await Promise.all(clients.map(client => new Promise(resolve => client.once('connect', resolve))))
const deadline = Date.now() + 10_000
while ((await nodes[0].io.in('room').fetchSockets()).length < 2) assert.ok(Date.now() < deadline, 'both in the room')
const heard = clients.map(client => new Promise(resolve => client.once('news', resolve)))
nodes[0].io.to('room').emit('news', { n: 1 })
assert.deepEqual(await Promise.all(heard), [{ n: 1 }, { n: 1 }])
nodes[0].io.on('question', (n, answer) => answer(n + 1))
nodes[1].io.on('question', (n, answer) => answer(n + 1))
assert.deepEqual(await nodes[0].io.serverSideEmitWithAck('question', 1), [2])
process.exit(0)
