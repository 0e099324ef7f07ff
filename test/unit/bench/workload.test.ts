import { describe, expect, it } from 'vitest'
import { buildBatches, keyText, type Operation, valueText, type Workload } from '../../../bench/macro/workload.ts'

function workload(change: Partial<Workload>): Workload {
  return {
    protocol: 'redis',
    operation: 'get',
    keysPerRequest: 1,
    valueBytes: 32,
    pipeline: 1,
    keyspace: 1000,
    ...change,
  }
}

describe('a workload', () => {
  it('gives each key a value that no other key has', () => {
    const values = Array.from({ length: 1000 }, (_, i) => valueText(i, 32))
    expect(new Set(values).size).toBe(1000)
    expect(values.every(value => value.length === 32)).toBe(true)
  })

  it('asks for a key and expects its value', () => {
    for (const { request, reply } of buildBatches(workload({}), 3)) {
      const key = /^\*2\r\n\$3\r\nGET\r\n\$16\r\n(key:\d{12})\r\n$/.exec(request.toString())?.[1]
      expect(reply.toString()).toBe(`$32\r\n${key}${key}\r\n`)
    }
  })

  it('puts a whole pipeline in a batch', () => {
    const [batch] = buildBatches(workload({ pipeline: 16, operation: 'set' }), 3)
    expect(batch!.request.toString().match(/SET/g)).toHaveLength(16)
    expect(batch!.reply.toString()).toBe('+OK\r\n'.repeat(16))
  })

  it('names a key only once in a multi-get, and expects the values in the order of the keys', () => {
    const batches = buildBatches(
      workload({ protocol: 'memcached', operation: 'mget', keysPerRequest: 20, keyspace: 25 }),
      5,
    )
    for (const { request, reply } of batches) {
      const keys = request.toString().trim().split(' ').slice(1)
      expect(new Set(keys).size).toBe(20)
      expect([...reply.toString().matchAll(/VALUE (\S+)/g)].map(match => match[1])).toEqual(keys)
      expect(reply.toString().endsWith('\r\nEND\r\n')).toBe(true)
    }
  })

  it('makes a mix of about nine gets to one set', () => {
    const requests = buildBatches(workload({ operation: 'mix', pipeline: 100 }), 9)
      .map(batch => batch.request.toString())
      .join('')
    const sets = requests.match(/\r\nSET\r\n/g)!.length
    const gets = requests.match(/\r\nGET\r\n/g)!.length
    expect(sets / (sets + gets)).toBeGreaterThan(0.07)
    expect(sets / (sets + gets)).toBeLessThan(0.13)
  })

  it('repeats itself for the same seed and differs for another', () => {
    const first = buildBatches(workload({}), 1).map(batch => batch.request.toString())
    expect(buildBatches(workload({}), 1).map(batch => batch.request.toString())).toEqual(first)
    expect(buildBatches(workload({}), 2).map(batch => batch.request.toString())).not.toEqual(first)
  })

  it('keeps the batches of big values few', () => {
    const batches = buildBatches(workload({ operation: 'set', valueBytes: 1 << 20, keyspace: 16 }), 1)
    expect(batches.reduce((sum, batch) => sum + batch.request.length, 0)).toBeLessThan(40 << 20)
    expect(batches.length).toBeGreaterThan(1)
  })

  it('covers every operation of both protocols', () => {
    for (const protocol of ['redis', 'memcached'] as const) {
      for (const operation of ['get', 'set', 'mix', 'mget', 'mset'] satisfies Operation[]) {
        const [batch] = buildBatches(workload({ protocol, operation, keysPerRequest: 2 }), 1)
        expect(batch!.request.toString()).toContain(keyText(0).slice(0, 4))
        expect(batch!.reply.length).toBeGreaterThan(0)
      }
    }
  })
})
