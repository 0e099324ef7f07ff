/** The tests of a list of applications: without a proxy, in a pool of one server, of three, and of three with what the document advises. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { stopAll } from '../support/processes/child.ts'
import type { Application } from './application.ts'
import { type Place, Pools, type Protocol } from './pools.ts'
import { linesOf, missingFor, run } from './programs.ts'

const ONE: Place = { servers: 1, keys: {} }
const SEVERAL: Place = { servers: 3, keys: {} }
/** A program that is ended after its own time limit fails the test first. */
const TEST_TIMEOUT_MS = 120_000
const SHOWN_LINES = 15

type Env = Readonly<Record<string, string>>

/** Declares the tests of `applications`; those that lack something here are skipped, and a line says so. */
export function declareTrials(protocol: Protocol, applications: readonly Application[]): void {
  let pools: Pools
  beforeAll(async () => {
    pools = await Pools.start(protocol, [ONE, SEVERAL, ...applications.flatMap(placeOfRemedy)])
  })
  afterEach(() => pools.empty())
  afterAll(stopAll)

  const works = async (application: Application, port: number, env: Env): Promise<void> => {
    const { code, output } = await run(application, port, env)
    if (code !== 0) throw new Error(`exit code ${code}\n${linesOf(output, SHOWN_LINES)}\n${linesOf(pools.log(), 5)}`)
  }
  const fails = async (application: Application, port: number, env: Env, words: RegExp): Promise<void> => {
    const { code, output } = await run(application, port, env)
    expect(code).not.toBe(0)
    expect(output).toMatch(words)
  }

  describe.each(applications.map(application => ({ application, name: application.name })))(
    '$name',
    ({ application }) => {
      const { oneFails, severalFail, remedy, env = {} } = application
      const missing = missingFor(application)
      if (missing !== '') console.log(`SKIPPED: ${application.name}: missing ${missing}`)
      const trial = test.skipIf(missing !== '')

      trial('works without a proxy', () => works(application, pools.directPort, env), TEST_TIMEOUT_MS)
      trial(
        `${verb(oneFails)} in a pool of one server`,
        async () => {
          if (oneFails === undefined) await works(application, pools.portOf(ONE), env)
          else await fails(application, pools.portOf(ONE), env, oneFails)
        },
        TEST_TIMEOUT_MS,
      )
      trial(
        `${verb(severalFail)} in a pool of three servers`,
        async () => {
          if (severalFail === undefined) await works(application, pools.portOf(SEVERAL), env)
          else await fails(application, pools.portOf(SEVERAL), env, severalFail)
        },
        TEST_TIMEOUT_MS,
      )
      if (remedy?.servers === 1 || remedy === undefined) return
      const [place] = placeOfRemedy(application)
      trial(
        `works in a pool of three servers with ${remedy.text}`,
        () => works(application, pools.portOf(place!), { ...env, ...remedy.env }),
        TEST_TIMEOUT_MS,
      )
    },
  )
}

function verb(failure: RegExp | undefined): string {
  return failure === undefined ? 'works' : 'fails'
}

function placeOfRemedy(application: Application): Place[] {
  const { remedy } = application
  return remedy === undefined ? [] : [{ servers: remedy.servers ?? 3, keys: remedy.keys ?? {} }]
}
