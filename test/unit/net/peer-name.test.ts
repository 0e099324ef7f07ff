import { expect, test } from 'vitest'
import { peerName } from '../../../src/net/peer-name.ts'

function from(address: string): string {
  return peerName({
    getpeername: out => {
      Object.assign(out, { address, port: 51234 })
      return 0
    },
  })
}

test('an address and its port, as they can be told apart', () => {
  expect(from('10.0.0.7')).toBe('10.0.0.7:51234')
  expect(from('2001:db8::1')).toBe('[2001:db8::1]:51234')
})

test('an IPv4 client of a listener for both is an IPv4 client', () => {
  expect(from('::ffff:10.0.0.7')).toBe('10.0.0.7:51234')
})

test('no name where there is none', () => {
  expect(peerName({})).toBe('')
  expect(peerName({ getpeername: () => -107 })).toBe('')
})
