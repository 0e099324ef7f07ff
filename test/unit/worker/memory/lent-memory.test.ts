/** What the worker lends and takes back: tails, held replies, slabs, messages. */

import { describe, expect, test } from 'vitest'
import { copyBytes, withWords } from '../../../../src/bytes/word-buffer.ts'
import type { ArenaChunk } from '../../../../src/worker/memory/reply-arena.ts'
import { BLOCK_BYTES, SLAB_BYTES } from '../../../../src/worker/memory/slab.ts'
import type { Tail } from '../../../../src/worker/memory/tail.ts'
import { WorkerMemory } from '../../../../src/worker/memory/worker-memory.ts'
import { Message, MessageKind, MessagePool } from '../../../../src/worker/request/message.ts'
import { Random, runSeed } from '../../../support/random.ts'

const memory = new WorkerMemory()
const { slabs, arena, tails } = memory
const messages = new MessagePool(memory)

describe('Tail', () => {
  function contents(tail: Tail): Buffer {
    return Buffer.from(tail.buf.subarray(0, tail.length))
  }

  test('gathers pieces of any size', () => {
    const random = new Random(runSeed())
    for (let round = 0; round < 200; round++) {
      const tail = tails.acquire()
      const pieces: Buffer[] = []
      for (let i = random.between(1, 20); i > 0; i--) {
        const piece = random.bytes(random.pick([0, 1, 31, 32, 33, 500, 5000, 70_000]))
        const around = Buffer.concat([Buffer.from('ab'), piece, Buffer.from('cd')])
        expect(tail.fill(around, 2, around.length - 2, 0)).toBe(piece.length)
        pieces.push(piece)
      }
      expect(contents(tail).equals(Buffer.concat(pieces))).toBe(true)
      tail.release()
    }
  })

  test('takes no more than the message needs', () => {
    const tail = tails.acquire()
    const bytes = Buffer.from('0123456789')
    expect(tail.fill(bytes, 0, 4, 7)).toBe(4)
    expect(tail.fill(bytes, 4, 10, 7)).toBe(3)
    expect(contents(tail).toString()).toBe('0123456')
    tail.release()
  })

  test('a need that is met already, or unknown, does not hold it back', () => {
    const tail = tails.acquire()
    const bytes = Buffer.from('0123456789')
    tail.fill(bytes, 0, 5, 0)
    expect(tail.fill(bytes, 5, 10, 5)).toBe(5)
    expect(contents(tail).toString()).toBe('0123456789')
    tail.release()
  })

  test('takes room for the whole message at once, where that is known and not large', () => {
    const tail = new WorkerMemory().tails.acquire()
    tail.fill(Buffer.alloc(1000), 0, 1000, 100_000)
    expect(tail.buf.length).toBe(100_000)
  })

  test('a promise of half a gigabyte costs its sender as much as it costs us', () => {
    const tail = new WorkerMemory().tails.acquire()
    const promise = 536_870_912
    const piece = Buffer.alloc(65_536)
    tail.fill(piece, 0, 1000, promise)
    expect(tail.buf.length).toBeLessThanOrEqual(1_048_576)
    for (let i = 0; i < 100; i++) {
      tail.fill(piece, 0, piece.length, promise)
      expect(tail.buf.length).toBeLessThanOrEqual(Math.max(1_048_576, tail.length * 2))
    }
    tail.release()
  })

  test('grows a few times only, and to less than twice the message', () => {
    const tail = new WorkerMemory().tails.acquire()
    const need = 20_000_000
    const piece = Buffer.alloc(65_536)
    const sizes = new Set<number>()
    let at = 0
    while (at < need) {
      at += tail.fill(piece, 0, piece.length, need)
      sizes.add(tail.buf.length)
    }
    expect(tail.length).toBe(need)
    expect(tail.buf.length).toBeLessThan(2 * need)
    expect(sizes.size).toBeLessThan(8)
  })

  test('grows as rarely for a list, of which only the end of the next value is known', () => {
    const tail = new WorkerMemory().tails.acquire()
    const piece = Buffer.alloc(65_536)
    const sizes = new Set<number>()
    for (let need = 30_000; need < 20_000_000; need += 30_000) {
      while (tail.length < need) tail.fill(piece, 0, piece.length, need)
      sizes.add(tail.buf.length)
    }
    expect(sizes.size).toBeLessThan(14)
  })

  test('skip drops from the front', () => {
    const tail = tails.acquire()
    tail.fill(Buffer.from('0123456789'), 0, 10, 0)
    tail.skip(4)
    expect(contents(tail).toString()).toBe('456789')
    tail.skip(6)
    expect(tail.length).toBe(0)
    tail.release()
  })

  test('detachBuffer hands the bytes over: nothing changes them afterwards', () => {
    const tail = tails.acquire()
    tail.fill(Buffer.from('hello'), 0, 5, 0)
    const buf = tail.detachBuffer()
    expect(tail.length).toBe(0)
    tail.fill(Buffer.from('other'), 0, 5, 0)
    tail.release()
    tails.acquire().fill(Buffer.from('third'), 0, 5, 0)
    expect(buf.subarray(0, 5).toString()).toBe('hello')
  })

  test('a tail that comes back is empty; a large one does not come back', () => {
    const small = tails.acquire()
    small.fill(Buffer.from('hello'), 0, 5, 0)
    small.release()
    expect(tails.acquire()).toBe(small)
    expect(small.length).toBe(0)
    const large = tails.acquire()
    large.fill(Buffer.alloc(100_000), 0, 100_000, 0)
    large.release()
    expect(tails.acquire()).not.toBe(large)
  })
})

describe('kept replies', () => {
  function read(chunk: ArenaChunk, bytes: number): Buffer {
    return chunk.buf.subarray(chunk.used - bytes, chunk.used)
  }

  test('small ones share a chunk, large ones have their own', () => {
    const small = Buffer.from('small')
    const first = arena.keep(small, 0, 5)
    const second = arena.keep(small, 1, 5)
    expect(second).toBe(first)
    expect(read(second, 4).toString()).toBe('mall')
    const large = Buffer.alloc(20_000, 'x')
    const own = arena.keep(large, 0, large.length)
    expect([own.single, own.used, own.buf.length]).toEqual([true, 20_000, 20_000])
    for (const chunk of [first, second, own]) arena.release(chunk)
  })

  test('what is kept is not overwritten, in whatever order it is released', () => {
    const random = new Random(runSeed())
    const held: { chunk: ArenaChunk; at: number; bytes: Buffer }[] = []
    for (let i = 0; i < 10_000; i++) {
      if (held.length > 0 && random.chance(held.length > 400 ? 0.6 : 0.45)) {
        const [{ chunk, at, bytes }] = held.splice(random.below(held.length), 1) as [(typeof held)[number]]
        if (!chunk.buf.subarray(at, at + bytes.length).equals(bytes)) expect.fail(`reply ${i} was overwritten`)
        arena.release(chunk)
      } else {
        const bytes = Buffer.alloc(random.pick([0, 1, 40, 1000, 16_384, 16_385]), `${i} `)
        const chunk = arena.keep(bytes, 0, bytes.length)
        held.push({ chunk, at: chunk.used - bytes.length, bytes })
      }
    }
    for (const { chunk } of held) arena.release(chunk)
  })

  test('a chunk whose last reply has gone is filled from the front again', () => {
    const bytes = Buffer.alloc(16_000, 'x')
    const chunks = Array.from({ length: 20 }, () => arena.keep(bytes, 0, bytes.length))
    const used = new Set(chunks)
    for (const chunk of chunks) arena.release(chunk)
    const again = Array.from({ length: 20 }, () => arena.keep(bytes, 0, bytes.length))
    for (const chunk of again) expect(used.has(chunk)).toBe(true)
    for (const chunk of again) arena.release(chunk)
  })

  test('a buffer that is handed over is kept as it is', () => {
    const buf = withWords(Buffer.from('hello world'))
    const chunk = arena.keepOwned(buf, 5)
    expect([chunk.buf, chunk.used, chunk.single, chunk.references]).toEqual([buf, 5, true, 1])
    arena.release(chunk)
    expect(arena.keep(Buffer.from('x'), 0, 1)).not.toBe(chunk)
  })
})

describe('slabs', () => {
  test('one that comes back is lent again, and comes back once', () => {
    const slab = slabs.acquire()
    expect(slab.length).toBe(SLAB_BYTES)
    slabs.release(slab)
    expect(() => slabs.release(slab)).toThrow('released once')
    expect(slabs.acquire()).toBe(slab)
  })

  test('a burst is not kept for ever', () => {
    const burst = new Set(Array.from({ length: 1000 }, () => slabs.acquire()))
    for (const slab of burst) slabs.release(slab)
    let kept = 0
    for (let i = 0; i < 1000; i++) if (burst.has(slabs.acquire())) kept++
    expect(kept).toBe(256)
  })

  test('a large one is lent while there are any, and comes back to its own kind', () => {
    const large = Array.from({ length: 32 }, () => slabs.acquireLarge())
    for (const slab of large) expect(slab.length).toBe(BLOCK_BYTES)
    const usual = slabs.acquireLarge()
    expect(usual.length).toBe(SLAB_BYTES)
    const before = memory.lent.totalBytes
    for (const slab of large) slabs.release(slab)
    expect(before - memory.lent.totalBytes).toBe(32 * BLOCK_BYTES)
    slabs.release(usual)
    expect(slabs.acquire()).toBe(usual)
    expect(large).toContain(slabs.acquireLarge())
  })

  test('copyBytes copies from any array of bytes, whatever the length', () => {
    const random = new Random(runSeed())
    const to = withWords(Buffer.alloc(700))
    for (let length = 0; length < 600; length++) {
      const bytes = random.bytes(length + 5)
      const from = [withWords(Buffer.from(bytes)), bytes, new Uint8Array(bytes)][length % 3]
      to.fill(0)
      expect(copyBytes(from, 3, 3 + length, to, 7)).toBe(7 + length)
      expect(to.subarray(7, 7 + length).equals(from.subarray(3, 3 + length))).toBe(true)
      expect(to[6]).toBe(0)
      expect(to[7 + length]).toBe(0)
    }
  })
})

describe('messages', () => {
  test('one that comes back is clean when it is lent again', () => {
    const message = messages.acquire(null, MessageKind.forward)
    message.keepReply(Buffer.from('reply'), 0, 5)
    const chunk = message.chunk!
    const refs = chunk.references
    message.done = true
    message.expired = true
    message.silent = true
    message.deadlineMs = 5
    message.tag = 7
    message.next = message
    message.release()
    expect(chunk.references).toBe(refs - 1)
    const again = messages.acquire(null, MessageKind.local)
    expect(again).toBe(message)
    const fresh = new Message(messages)
    const fields = [
      'next',
      'serverNext',
      'client',
      'done',
      'queued',
      'expired',
      'silent',
      'deadlineMs',
      'reply',
      'chunk',
      'split',
      'tag',
    ] as const
    for (const field of fields) expect([field, again[field]]).toEqual([field, fresh[field]])
    expect(again.kind).toBe(MessageKind.local)
  })

  test('keeps the place of a reply in a shared chunk', () => {
    const first = messages.acquire(null, MessageKind.forward)
    const second = messages.acquire(null, MessageKind.forward)
    first.keepReply(Buffer.from('first'), 0, 5)
    second.keepReply(Buffer.from('second'), 0, 6)
    for (const [message, text] of [
      [first, 'first'],
      [second, 'second'],
    ] as const) {
      expect(Buffer.from(message.reply!.subarray(message.replyStart, message.replyEnd)).toString()).toBe(text)
      message.release()
    }
  })
})
