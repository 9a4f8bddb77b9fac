/** From asking for a session to the first pixels that are not black at its screen; cold, and from a warm pool. The viewer speaks RFB itself. */
import { WebSocket } from 'ws'
import { type Figure, interleaved, median, noiseOf } from './figures.ts'
import { openInstallation } from './installation.ts'
import type { Options } from './options.ts'

const suite = 'first frame'

export async function firstFrameSuite({ rounds, say }: Options): Promise<Figure[]> {
  const porthole = await openInstallation({ WARM_POOL: '0' })
  const look = async (body: object) => {
    const began = performance.now()
    const made = await porthole.call('POST', '/v1/sessions', { template: 'chromium', ...body }, { prefer: 'wait=60' })
    if (made.body.status !== 'running') throw new Error(`not running: ${JSON.stringify(made.body)}`)
    await firstPixels(made.body.urls.vnc, porthole.token)
    const ms = performance.now() - began
    await porthole.call('DELETE', `/v1/sessions/${made.body.id}`)
    return ms
  }
  try {
    say('first frame: cold')
    // An odd memory: no warm one fits.
    const cold = await interleaved(rounds, { porthole: () => look({ resources: { memory: '2001Mi' } }) })
    const pool = await porthole.call('POST', '/v1/pools', { template: 'chromium', cluster: 'local', size: 1, idle_size: 1 })
    say('first frame: warm')
    const warm = await interleaved(rounds, {
      porthole: async () => {
        await porthole.until(async () => (await porthole.call('GET', `/v1/pools/${pool.body.id}`)).body.ready > 0)
        await new Promise(done => setTimeout(done, 1_500))
        return look({})
      },
    })
    return [
      {
        ...{
          suite,
          name: 'warm: create to first pixels',
          unit: 'ms',
          value: median(warm.porthole),
          noise: noiseOf(warm.porthole),
        },
        ...{ peer: { name: 'cold', value: median(cold.porthole) }, target: { is: 'at most', than: 0.05 } },
      },
    ]
  } finally {
    await porthole.stop()
  }
}

/** RFB 3.8, no security, 32-bit raw: resolves at the first pixel that is not black. */
function firstPixels(url: string, token: string): Promise<void> {
  const ws = new WebSocket(url, ['binary'], { perMessageDeflate: false, headers: { authorization: `Bearer ${token}` } })
  let data: Buffer = Buffer.alloc(0)
  let step: (() => boolean) | null = () => {
    if (!take(12)) return false
    ws.send(Buffer.from('RFB 003.008\n'))
    step = security
    return true
  }
  let done = () => {}
  const take = (bytes: number): Buffer | null => {
    if (data.length < bytes) return null
    const taken = data.subarray(0, bytes)
    data = data.subarray(bytes)
    return taken
  }
  const security = () => {
    if (data.length < 1 || !take(1 + data[0]!)) return false
    ws.send(Buffer.from([1]))
    step = result
    return true
  }
  const result = () => {
    if (!take(4)) return false
    ws.send(Buffer.from([1]))
    step = init
    return true
  }
  const init = () => {
    if (data.length < 24 || data.length < 24 + data.readUInt32BE(20)) return false
    const width = data.readUInt16BE(0)
    const height = data.readUInt16BE(2)
    take(24 + data.readUInt32BE(20))
    ws.send(Buffer.from([2, 0, 0, 1, 0, 0, 0, 0]))
    const ask = Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    ask.writeUInt16BE(width, 6)
    ask.writeUInt16BE(height, 8)
    const again = () => ws.readyState === 1 && ws.send(ask)
    again()
    step = () => {
      if (data.length < 16) return false
      // Only the header of the first rectangle matters, then whether anything in what follows is lit.
      const lit = data.subarray(16).some((byte, at) => at % 4 !== 3 && byte !== 0)
      if (lit) {
        step = null
        done()
        return false
      }
      if (data.length < 16 + width * height * 4) return false
      data = Buffer.alloc(0)
      setTimeout(again, 5)
      return false
    }
    return true
  }
  ws.on('message', (message: Buffer) => {
    data = Buffer.concat([data, message])
    while (step?.()) {}
  })
  return new Promise((fulfil, fail) => {
    done = () => {
      ws.terminate()
      fulfil()
    }
    ws.on('error', fail)
    ws.on('close', (code, reason) => fail(new Error(`the screen closed: ${code} ${reason}`)))
  })
}
