import { describe, expect, it } from 'vitest'
import { CommandError, readCommand } from './command.ts'

const env = { PORTHOLE_URL: 'https://porthole.example/', PORTHOLE_TOKEN: 'vnc-sk-proj-x' }

describe('forward', () => {
  it.each([
    ['desk 5901:vnc', 'desk', '127.0.0.1', [{ local: 5901, remote: 'vnc' }]],
    ['ses_1 vnc 2222:22', 'ses_1', '127.0.0.1', [{ local: 5900, remote: 'vnc' }, { local: 2222, remote: 22 }]], // biome-ignore format: a table
    ['--address ::1 desk 8080', 'desk', '::1', [{ local: 8080, remote: 8080 }]],
    ['desk 0:8080', 'desk', '127.0.0.1', [{ local: 0, remote: 8080 }]],
  ])('%s', (line, session, address, ports) => {
    expect(readCommand(['forward', ...line.split(' ')], env)).toEqual({
      url: 'https://porthole.example',
      token: 'vnc-sk-proj-x',
      session,
      address,
      ports,
    })
  })

  it.each([
    ['forward', /^Which session\?\n\nporthole forward/],
    ['forward desk', /^Which ports of desk\?\n\nporthole forward/],
    ['forward desk vnc --address', /--address takes/],
    ['forward desk http', /"http" is not/],
    ['forward desk 5901:', /"5901:" is not/],
    ['forward desk 70000', /is not/],
    ['forward desk 0', /is not/],
    ['forward --fast desk vnc', /--fast/],
    ['open desk', /no command "open"/],
  ])('%s is told what is wrong', (line, words) => {
    const typed = () => readCommand(line.split(' '), env)
    expect(typed).toThrow(CommandError)
    expect(typed).toThrow(words)
  })

  it('needs a token and an http address', () => {
    expect(() => readCommand(['forward', 'desk', 'vnc'], {})).toThrow(/PORTHOLE_TOKEN/)
    expect(() => readCommand(['forward', 'desk', 'vnc'], { ...env, PORTHOLE_URL: 'porthole' })).toThrow(/PORTHOLE_URL/)
  })
})

it('no command, or --help anywhere, is the help', () => {
  for (const words of [[], ['help'], ['forward', '--help'], ['forward', 'desk', '-h']])
    expect(readCommand(words, {})).toBe('help')
})
