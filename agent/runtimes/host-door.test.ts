/** Requests to a host that answers and closes the moment it has all it was promised: a process of its own, so that it can be faster than we are. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { askHost } from './host-door.ts'

const quickHost = `
const { createServer } = require('node:net')
createServer(socket => {
  let got = ''
  socket.on('error', () => {})
  socket.on('data', chunk => {
    got += chunk.toString('latin1')
    const at = got.indexOf('\\r\\n\\r\\n')
    const length = /content-length: (\\d+)/i.exec(got)
    const whole = length ? got.length - at - 4 >= Number(length[1]) : got.endsWith('0\\r\\n\\r\\n')
    if (at < 0 || !whole) return
    socket.end('HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\nconnection: close\\r\\n\\r\\nok')
    socket.destroySoon()
  })
}).listen(process.argv[1], () => process.stdout.write('ready'))`

let folder: string
let socket: string
let host: ChildProcess
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'porthole-host-'))
  socket = join(folder, 'host.sock')
  host = spawn(process.execPath, ['-e', quickHost, socket], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(host.stdout!, 'data')
}, 60_000)
afterAll(async () => {
  host?.kill('SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

const turn = () => new Promise<void>(resolve => setImmediate(resolve))

test.each<[string, number[], boolean]>([
  ['one piece', [5], true],
  ['two pieces', [5, 70_000], true],
  ['more than was promised', [5, 9], true],
  ['no promise', [5, 70_000], false],
  ['nothing', [], true],
])('its answer is heard, whatever the body: %s', { timeout: 60_000 }, async (what, sizes, told) => {
  const promised = what === 'more than was promised' ? 5 : sizes.reduce((sum, size) => sum + size, 0)
  for (let n = 0; n < 100; n++) {
    const body = (async function* () {
      for (const size of sizes) {
        yield Buffer.alloc(size, 0x61)
        // The end comes later than the last piece, as it does from the API.
        await turn()
      }
      await turn()
    })()
    const answer = await askHost(
      { connect: () => connect({ path: socket }) },
      {
        method: 'PUT',
        path: '/files/a.txt',
        headers: told ? { 'content-length': String(promised) } : {},
        body,
        signal: AbortSignal.timeout(30_000),
      },
    )
    let text = ''
    for await (const chunk of answer.body) text += Buffer.from(chunk).toString()
    expect([answer.status, text]).toEqual([200, 'ok'])
  }
})
