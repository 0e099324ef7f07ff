import { describe, expect, it } from 'vitest'
import { diffConfigs } from '../../../src/config/diff.ts'
import { ABSENT } from '../../../src/shared/config-diff.ts'
import { configOf, poolText } from './support.ts'

const BASE = `
alpha:
  listen: 127.0.0.1:1001
  redis: true
  timeout: 400
  servers:
    - 127.0.0.1:6001:1 a
    - 127.0.0.1:6002:1 b
    - 127.0.0.1:6003:1 c
beta:
  listen: 127.0.0.1:1002
  servers:
    - 127.0.0.1:7001:1
`

/** What changes when these replacements are made in `BASE`. */
async function diff(...replacements: readonly (readonly [from: string, to: string])[]) {
  const text = replacements.reduce((before, [from, to]) => {
    expect(before).toContain(from)
    return before.replace(from, to)
  }, BASE)
  return diffConfigs(await configOf(BASE), await configOf(text))
}

const NOTHING = { ringChanged: false, protocolChanged: false, connectionsChanged: false, listenChanged: false }

describe('an equal configuration', () => {
  it('changes nothing, whatever its spelling and order', async () => {
    const [alpha, beta] = BASE.trim().split(/\n(?=beta)/)
    const result = diffConfigs(
      await configOf(BASE),
      await configOf(`# new\n${beta}\n${alpha!.replace('400', '"0400"')}\n`),
    )
    expect(result.unchanged).toBe(true)
    expect(result.common.every(pool => pool.unchanged)).toBe(true)
    expect(result.listeners.map(each => each.action)).toEqual(['keep', 'keep'])
  })
})

describe('pools', () => {
  it('are added and removed by name', async () => {
    const { added, removed, common, listeners } = await diff(['beta:', 'c:'], ['1002', '1003'])
    expect({
      added,
      removed,
      unchanged: common.map(pool => [pool.name, pool.before, pool.after, pool.unchanged]),
    }).toEqual({
      added: [0],
      removed: [0],
      unchanged: [['alpha', 1, 1, true]],
    })
    expect(listeners.map(each => [each.action, each.listen.text, each.before, each.after])).toEqual([
      ['close', '127.0.0.1:1002', 0, ABSENT],
      ['open', '127.0.0.1:1003', ABSENT, 0],
      ['keep', '127.0.0.1:1001', 1, 1],
    ])
  })

  it('hand their listener on when they are renamed', async () => {
    const { added, removed, listeners } = await diff(['beta:', 'gamma_ray:'])
    expect([added, removed]).toEqual([[1], [0]])
    expect(listeners.map(each => [each.action, each.before, each.after])).toEqual([
      ['keep', 1, 0],
      ['keep', 0, 1],
    ])
  })

  it('may exchange their listeners', async () => {
    const { common, listeners } = await diff(['1001', '1'], ['1002', '1001'], [':1\n', ':1002\n'])
    expect(common.map(pool => [pool.name, pool.listenChanged, pool.unchanged])).toEqual([
      ['beta', true, false],
      ['alpha', true, false],
    ])
    expect(listeners.map(each => [each.action, each.before, each.after])).toEqual([
      ['keep', 1, 0],
      ['keep', 0, 1],
    ])
  })
})

describe('settings', () => {
  it.each([
    ['timeout: 400', 'timeout: 500', ['timeoutMs'], {}],
    ['timeout: 400', 'client_max_pending: 5', ['timeoutMs', 'clientMaxPending'], {}],
    ['timeout: 400', 'timeout: 400\n  hash: md5', ['hash'], { ringChanged: true }],
    ['timeout: 400', 'timeout: 400\n  hash_tag: "{}"', ['hashTag'], { ringChanged: true }],
    ['timeout: 400', 'timeout: 400\n  distribution: modula', ['distribution'], { ringChanged: true }],
    ['timeout: 400', 'timeout: 400\n  redis_auth: x', ['redisAuth'], { connectionsChanged: true }],
    ['timeout: 400', 'timeout: 400\n  redis_db: 1', ['redisDb', 'databases'], { connectionsChanged: true }],
    ['timeout: 400', 'timeout: 400\n  databases: 4', ['databases'], {}],
    ['timeout: 400', 'timeout: 400\n  server_tcpkeepalive: true', ['serverTcpKeepalive'], { connectionsChanged: true }],
    ['timeout: 400', 'timeout: 400\n  tcpkeepalive_idle: 9', ['tcpKeepaliveIdleSec'], {}],
    ['redis: true', 'redis: false', ['redis'], { protocolChanged: true, connectionsChanged: true }],
  ] as const)('%j → %j', async (from, to, settings, flags) => {
    const { common, unchanged } = await diff([from, to])
    expect(unchanged).toBe(false)
    const alpha = common.find(pool => pool.name === 'alpha')!
    expect(alpha).toMatchObject({ ...NOTHING, ...flags, unchanged: false })
    expect(alpha.settings.toSorted()).toEqual(settings.toSorted())
    expect(common.find(pool => pool.name === 'beta')!.unchanged).toBe(true)
  })

  it.each(['backlog: 7', 'reuseport: true'])('that only a new socket can have reopen the listener: %s', async line => {
    const { listeners } = await diff(['timeout: 400', `timeout: 400\n  ${line}`])
    expect(listeners.map(each => [each.action, each.listen.text])).toEqual([
      ['keep', '127.0.0.1:1002'],
      ['reopen', '127.0.0.1:1001'],
    ])
  })
})

describe('servers', () => {
  /** Names by kind of change, the index map, and whether keys may move. */
  async function servers(...replacements: readonly (readonly [string, string])[]) {
    const { common } = await diff(...replacements)
    const { servers: changes, ringChanged } = common.find(pool => pool.name === 'alpha')!
    const names = (list: readonly { name: string }[]) => list.map(each => each.name).join()
    const { added, removed, reweighted, moved, previous } = changes
    return {
      added: names(added),
      removed: names(removed),
      reweighted: names(reweighted),
      moved: names(moved),
      previous,
      ringChanged,
    }
  }

  const same = { added: '', removed: '', reweighted: '', moved: '', previous: [0, 1, 2] }

  it('are added, and the others keep their identity at new indexes', async () => {
    const result = await servers([
      '- 127.0.0.1:6001:1 a',
      '- 127.0.0.1:6001:1 a\n    - 127.0.0.1:6009:1 aa\n    - 127.0.0.1:6008:1 A',
    ])
    expect(result).toEqual({ ...same, added: 'A,aa', previous: [ABSENT, 0, 1, 2, ABSENT], ringChanged: true })
  })

  it('are removed', async () => {
    expect(await servers(['    - 127.0.0.1:6002:1 b\n', ''])).toEqual({
      ...same,
      removed: 'b',
      previous: [0, 2],
      ringChanged: true,
    })
  })

  it('are re-weighted', async () => {
    expect(await servers(['6002:1', '6002:5'])).toEqual({ ...same, reweighted: 'b', ringChanged: true })
  })

  it('move to another address under their name, and no key moves', async () => {
    expect(await servers(['6002:1', '6099:1'])).toEqual({
      ...same,
      moved: 'b',
      previous: [0, ABSENT, 2],
      ringChanged: false,
    })
  })

  it('move and are re-weighted at once', async () => {
    expect(await servers(['6002:1', '6099:2'])).toEqual({
      ...same,
      moved: 'b',
      previous: [0, ABSENT, 2],
      ringChanged: true,
    })
  })

  it('without a name of their own are others at another address', async () => {
    const before = await configOf(poolText())
    const after = await configOf(poolText().replace('6379', '6380'))
    const { servers: changes, ringChanged } = diffConfigs(before, after).common[0]!
    expect([changes.added.length, changes.removed.length, changes.moved.length, ringChanged]).toEqual([1, 1, 0, true])
  })
})
