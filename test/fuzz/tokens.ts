/**
 * Whose a reply is, written into it. A fuzzed client's stream has tokens in the place of the word `key`, numbered as they come; a server
 * names the tokens of a request in its reply. A witness's keys say what their values are.
 */

const WORD = 'key'
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
/** Tokens of one client: `K` and two digits to the base 62 are 3844 for four clients. */
const TOKENS_A_CLIENT = 961
const TOKEN = /K[0-9A-Za-z]{2}/g
const SERIAL = /#(\d+)#/g

const WITNESS_KEY = /^w\d+-\d+s\d+/

/** The tokens and serial numbers of one case. */
export class Marks {
  /** Client and place of each token, as `client * TOKENS_A_CLIENT + place`. */
  private readonly issued = new Map<string, number>()
  private nextSerial = 0
  /** Serial numbers of the replies to plain reads. */
  readonly given: number[] = []

  /** Puts tokens into a mutated stream, without changing its length. @param client 0 to 3. */
  brand(stream: Buffer, client: number): Buffer {
    const branded = Buffer.from(stream)
    let place = 0
    for (let at = branded.indexOf(WORD); at >= 0 && place < TOKENS_A_CLIENT; at = branded.indexOf(WORD, at + 1)) {
      const number = client * TOKENS_A_CLIENT + place++
      const token = `K${DIGITS[Math.trunc(number / 62)]}${DIGITS[number % 62]}`
      branded.write(token, at, 'latin1')
      this.issued.set(token, number)
    }
    return branded
  }

  /**
   * What a server gives for a request: its tokens, and a number that nothing else has.
   * @param isPlain only the client that asked gets it, whole.
   */
  name(args: readonly string[], isPlain = false): string {
    if (isPlain) this.given.push(this.nextSerial)
    const tokens = args.join(' ').match(TOKEN) ?? []
    return `${tokens.filter(token => this.issued.has(token)).join(',')}#${this.nextSerial++}#`
  }

  /** Tokens in a text. `place`: among its client's. */
  tokensIn(text: string): { token: string; client: number; place: number }[] {
    return (text.match(TOKEN) ?? []).flatMap(token => {
      const number = this.issued.get(token)
      if (number === undefined) return []
      return { token, client: Math.trunc(number / TOKENS_A_CLIENT), place: number % TOKENS_A_CLIENT }
    })
  }

  serialsIn(text: string): number[] {
    return [...text.matchAll(SERIAL)].map(match => Number(match[1]))
  }
}

/** @param size of its value, bytes. */
export function witnessKey(witness: number, serial: number, size: number): string {
  return `w${witness}-${serial}s${size}`
}

export function isWitnessKey(key: string): boolean {
  return WITNESS_KEY.test(key)
}

/** The value that every server has under a witness's key. */
export function witnessValue(key: string): string {
  const size = Number(/s(\d+)/.exec(key)![1])
  return `<${key}>`.padEnd(size, `.${key}`)
}

/** Anything in a text that belongs to a witness. */
export function witnessIn(text: string): string | null {
  return /w\d+-\d+s\d+/.exec(text)?.[0] ?? null
}
