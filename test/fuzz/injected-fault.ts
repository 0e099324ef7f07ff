/**
 * Faults that are injected to see whether the checks find them: each makes a worker that is in order look as if it were not.
 */

import type { Peer } from './fake-transport.ts'
import type { FaultClass } from './fault.ts'
import type { World } from './world.ts'

type Tamper = (peer: Peer, bytes: Buffer) => Buffer

const NOTHING = Buffer.alloc(0)

export class InjectedFault {
  /** What the checks must say; null: anything, since what is seen of it first depends on the case. */
  readonly expected: readonly FaultClass[] | null
  readonly name: string
  /** Of a result that is no stream: a configuration, an address. */
  readonly isWrongResult: boolean
  /** Kinds in which it shows; null: all that have clients whose replies are known. */
  private readonly kinds: readonly string[] | null
  private readonly makeTamper: (clients: readonly Peer[]) => Tamper
  private readonly start: (world: World) => void

  constructor(
    name: string,
    expected: readonly FaultClass[] | null,
    parts: {
      readonly tamper?: (clients: readonly Peer[]) => Tamper
      readonly begin?: (world: World) => void
      readonly isWrongResult?: boolean
      readonly kinds?: readonly string[]
    },
  ) {
    this.name = name
    this.expected = expected
    this.makeTamper = parts.tamper ?? (() => (_, bytes) => bytes)
    this.start = parts.begin ?? (() => {})
    this.kinds = parts.kinds ?? null
    this.isWrongResult = parts.isWrongResult ?? false
  }

  concerns(kind: string): boolean {
    return this.kinds === null ? /-(client|server)$/.test(kind) : this.kinds.includes(kind)
  }

  tamper(clients: readonly Peer[]): Tamper {
    return this.makeTamper(clients)
  }

  begin(world: World): void {
    this.start(world)
  }
}

/** Changes what a client gets, once a case. @param change null: not this time. */
function once(
  change: (peer: Peer, bytes: Buffer, clients: readonly Peer[]) => Buffer | null,
): (clients: readonly Peer[]) => Tamper {
  return clients => {
    let isDone = false
    return (peer, bytes) => {
      if (isDone || !clients.includes(peer)) return bytes
      const changed = change(peer, bytes, clients)
      if (changed === null) return bytes
      isDone = true
      return changed
    }
  }
}

function isForClients(name: string): boolean {
  return name.startsWith('witness') || name.startsWith('asker')
}

export const INJECTED_FAULTS: readonly InjectedFault[] = [
  new InjectedFault('exchanged', ['crossed', 'wrong reply'], {
    tamper: once((peer, bytes) => {
      const text = bytes.toString('latin1')
      return isForClients(peer.name) && text.includes('<w0')
        ? Buffer.from(text.replaceAll('w0-', 'w1-'), 'latin1')
        : null
    }),
  }),
  new InjectedFault('crossed', null, {
    tamper: once((peer, bytes, clients) => {
      const other = clients.find(each => each !== peer && !each.closedByWorker)
      if (other === undefined || !isForClients(peer.name) || !bytes.includes('<w')) return null
      other.onBytes(bytes)
      return NOTHING
    }),
  }),
  new InjectedFault('dropped', null, {
    tamper: once(peer => (isForClients(peer.name) ? NOTHING : null)),
  }),
  new InjectedFault('doubled', null, {
    tamper: once((peer, bytes) => (isForClients(peer.name) ? Buffer.concat([bytes, bytes]) : null)),
  }),
  new InjectedFault('cut', null, {
    tamper: once((peer, bytes) => (isForClients(peer.name) ? bytes.subarray(0, bytes.length - 1) : null)),
  }),
  new InjectedFault('changed', null, {
    tamper: once((peer, bytes) => {
      if (!isForClients(peer.name)) return null
      const changed = Buffer.from(bytes)
      changed[changed.length - 3]! ^= 1
      return changed
    }),
  }),
  new InjectedFault('bad request', null, {
    tamper: clients => (peer, bytes) => {
      if (clients.includes(peer)) return bytes
      const changed = Buffer.from(bytes)
      changed[0] = 0x3f
      return changed
    },
  }),
  new InjectedFault('leak', ['leak'], { begin: world => world.context.turn.memory.lent.count(64) }),
  new InjectedFault('crash', ['crash'], {
    begin: world => {
      world.loop.after(5, () => {
        throw new Error('injected')
      })
    },
  }),
  new InjectedFault('held client', ['hang'], {
    begin: world => {
      world.loop.after(1, () => {
        world.connect('a client that is never closed').end = () => {}
      })
    },
  }),
  new InjectedFault('no rest', ['hang'], {
    begin: world => {
      const again = (): void => void world.loop.after(20, again)
      again()
    },
  }),
  new InjectedFault('wrong result', ['config', 'header'], { isWrongResult: true, kinds: ['config', 'proxy-header'] }),
]
