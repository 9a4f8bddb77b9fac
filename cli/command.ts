/** What was typed, as a command; a CommandError is a sentence for who typed it. */
export class CommandError extends Error {}

export interface ForwardCommand {
  /** The API, without a slash at its end. */
  url: string
  token: string
  /** Id or name. */
  session: string
  /** Address to listen on. */
  address: string
  ports: PortPair[]
}

export interface PortPair {
  /** 0: any free one. */
  local: number
  /** The session's screen (RFB), or a TCP port that its template declares. */
  remote: 'vnc' | number
}

export const usage = `porthole forward [--address 127.0.0.1] SESSION [LOCAL:]REMOTE ...

  Listens on ports of this machine and carries each connection into a session.
  SESSION  id or name of a running session
  REMOTE   vnc, for any VNC viewer, or a TCP port that the template declares

  porthole forward build-desk 5901:vnc 2222:22

  PORTHOLE_URL     where the API is (http://127.0.0.1:8080)
  PORTHOLE_TOKEN   a token with the scopes sessions:read and sessions:connect
`

const screenPort = 5900

export function readCommand(words: string[], env: Record<string, string | undefined>): ForwardCommand | 'help' {
  const [verb, ...rest] = words
  if (verb === undefined || verb === 'help' || words.some(word => word === '--help' || word === '-h')) return 'help'
  if (verb !== 'forward') throw new CommandError(`There is no command ${JSON.stringify(verb)}.\n\n${usage}`)
  let address = '127.0.0.1'
  const plain: string[] = []
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at]!
    if (word === '--address') address = rest[++at] ?? ''
    else if (word.startsWith('-')) throw new CommandError(`There is no option ${word}.\n\n${usage}`)
    else plain.push(word)
  }
  const [session, ...ports] = plain
  const missing = !session
    ? 'Which session?'
    : ports.length === 0
      ? `Which ports of ${session}?`
      : address === ''
        ? '--address takes an address.'
        : null
  if (!session || missing) throw new CommandError(`${missing}\n\n${usage}`)
  const url = readUrl(env.PORTHOLE_URL || 'http://127.0.0.1:8080')
  if (!env.PORTHOLE_TOKEN)
    throw new CommandError('PORTHOLE_TOKEN is not set: it takes a token with the scopes sessions:read and sessions:connect.')
  return { url, token: env.PORTHOLE_TOKEN, session, address, ports: ports.map(readPorts) }
}

function readUrl(text: string): string {
  const url = URL.parse(text)
  if (!url || !/^https?:$/.test(url.protocol)) throw new CommandError(`PORTHOLE_URL is no http(s) address: ${text}`)
  return url.href.replace(/\/+$/, '')
}

function readPorts(text: string): PortPair {
  const [, given, remote] = /^(?:(\d+):)?(vnc|\d+)$/.exec(text) ?? []
  const pair: PortPair = {
    remote: remote === 'vnc' ? 'vnc' : Number(remote),
    local: given !== undefined ? Number(given) : remote === 'vnc' ? screenPort : Number(remote),
  }
  const valid = (port: number, least: number) => Number.isInteger(port) && port >= least && port <= 65_535
  if (remote === undefined || !valid(pair.local, 0) || (pair.remote !== 'vnc' && !valid(pair.remote, 1)))
    throw new CommandError(`${JSON.stringify(text)} is not [LOCAL:]REMOTE, as in 5901:vnc or 2222:22.`)
  return pair
}
