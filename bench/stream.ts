/** Bytes: viewer -> API -> agent -> TCP, beside a raw connection, bare proxies and websockify. */
import { directWay, type Line, portholeWay, proxyWay, type Way, websockifyWay } from './byte-ways.ts'
import { type Figure, interleaved, median, noiseOf, quantile } from './figures.ts'
import type { Options } from './options.ts'
import { openStage } from './stage.ts'

const suite = 'stream'

export async function streamSuite({ scale, rounds, say }: Options): Promise<Figure[]> {
  const stage = await openStage()
  const bytes = Math.round(96 * 2 ** 20 * scale)
  const ways: Record<string, Way> = { direct: directWay(stage), porthole: portholeWay(stage) }
  try {
    ways.proxy = await proxyWay(stage, 1)
    ways.proxies = await proxyWay(stage, 2)
    const websockify = await websockifyWay(stage)
    if (websockify) ways.websockify = websockify
    else say('websockify is not installed: its columns are left out')
    const figures: Figure[] = []

    say('stream: throughput')
    const cpu: Record<string, number[]> = {}
    const speeds = await interleaved(
      rounds,
      mapWays(ways, (name, way) => async () => {
        const line = await way.open()
        const before = way.cpu()
        const seconds = await download(line, bytes)
        ;(cpu[name] ??= []).push((way.cpu() - before) / (bytes / 1e9))
        line.close()
        return bytes / 1e6 / seconds
      }),
    )
    const speed = (peer: string, label: string, than?: number): Figure[] =>
      speeds[peer]
        ? [
            {
              ...{ suite, name: `download, both hops`, unit: 'MB/s', value: median(speeds.porthole!) },
              peer: { name: label, value: median(speeds[peer]) },
              ...(than === undefined ? {} : { target: { is: 'at least' as const, than } }),
              noise: noiseOf(speeds.porthole!),
            },
          ]
        : []
    figures.push(
      ...speed('websockify', 'websockify, one hop', 1),
      ...speed('proxies', 'two bare Node proxies', 0.6),
      ...speed('proxy', 'one bare Node proxy'),
      ...speed('direct', 'raw TCP'),
    )
    const cost = median(cpu.porthole!)
    const costs = (peer: string, label: string, hops: number, than?: number): Figure[] =>
      cpu[peer]
        ? [
            {
              ...{ suite, name: 'CPU of a hop', unit: 's/GB', value: cost / 2 },
              peer: { name: label, value: median(cpu[peer]) / hops },
              ...(than === undefined ? {} : { target: { is: 'at most' as const, than } }),
              noise: noiseOf(cpu.porthole!),
            },
          ]
        : []
    figures.push(...costs('websockify', 'websockify', 1, 1.2), ...costs('proxies', 'a bare Node proxy', 2))

    say('stream: round trips')
    const tails: Record<string, number[]> = {}
    const trips = await interleaved(
      rounds,
      mapWays(ways, (name, way) => async () => {
        const line = await way.open()
        const times = await pings(line, Math.round(400 * scale))
        line.close()
        ;(tails[name] ??= []).push(quantile(times, 0.99))
        return median(times)
      }),
    )
    const added = (name: string) => Math.max(0.001, median(trips[name]!) - median(trips.direct!))
    const trip = (value: number, name: string, peer: string, label: string, peerValue: number, than?: number): Figure => ({
      ...{ suite, name, unit: 'ms', value, peer: { name: label, value: peerValue } },
      ...(than === undefined ? {} : { target: { is: 'at most' as const, than } }),
      noise: noiseOf(trips[peer]!),
    })
    if (trips.websockify)
      figures.push(trip(added('porthole'), 'added round trip p50, 64 B', 'porthole', 'websockify adds', added('websockify'), 2))
    figures.push(
      trip(added('porthole'), 'added round trip p50, 64 B', 'porthole', 'two bare proxies add', added('proxies')),
      trip(median(tails.porthole!), 'round trip p99, 64 B', 'porthole', 'two bare proxies', median(tails.proxies!)),
    )

    say('stream: opening, company and fairness')
    figures.push(...(await company(ways.porthole!, rounds, scale)), ...(await fairness(ways.porthole!, ways.proxies, scale)))
    const opened = await interleaved(rounds, {
      porthole: () => openings(ways.porthole!, 10),
      direct: () => openings(ways.direct!, 10),
    })
    figures.push({
      ...{ suite, name: 'open to first byte', unit: 'ms', value: median(opened.porthole) },
      peer: { name: 'raw TCP', value: median(opened.direct) },
      noise: noiseOf(opened.porthole),
    })
    return figures
  } finally {
    for (const way of Object.values(ways)) await way.end()
    await stage.close()
  }
}

function mapWays(ways: Record<string, Way>, make: (name: string, way: Way) => () => Promise<number>) {
  return Object.fromEntries(Object.entries(ways).map(([name, way]) => [name, make(name, way)]))
}

async function download(line: Line, bytes: number): Promise<number> {
  const began = performance.now()
  await new Promise<void>(done => {
    let got = 0
    line.onData(data => {
      got += data.length
      if (got >= bytes) done()
    })
    line.write(`send ${bytes}\n`)
  })
  return (performance.now() - began) / 1000
}

async function pings(line: Line, count: number): Promise<number[]> {
  let arrived = () => {}
  let waiting = 0
  line.onData(data => {
    waiting -= data.length
    if (waiting <= 0) arrived()
  })
  line.write('echo\n')
  const payload = Buffer.alloc(64, 1)
  const times: number[] = []
  for (let n = -20; n < count; n++) {
    const began = performance.now()
    waiting = payload.length
    await new Promise<void>(done => {
      arrived = done
      line.write(payload)
    })
    if (n >= 0) times.push(performance.now() - began)
  }
  return times
}

/** From asking for the stream to the first byte through it. */
async function openings(way: Way, count: number): Promise<number> {
  const times: number[] = []
  for (let n = 0; n < count; n++) {
    const began = performance.now()
    const line = await way.open()
    await new Promise<void>(done => {
      line.onData(() => done())
      line.write('send 1\n')
    })
    times.push(performance.now() - began)
    line.close()
  }
  return median(times)
}

/** Keystrokes beside eight screens of 30 Mbit/s. */
async function company(way: Way, rounds: number, scale: number): Promise<Figure[]> {
  const quiet: number[] = []
  const beside: number[] = []
  for (let round = 0; round < rounds; round++) {
    const line = await way.open()
    quiet.push(median(await pings(line, Math.round(200 * scale))))
    line.close()
    const screens = await Promise.all(Array.from({ length: 8 }, () => way.open()))
    for (const screen of screens) {
      screen.onData(() => {})
      screen.write('rate 3750000\n')
    }
    const other = await way.open()
    beside.push(median(await pings(other, Math.round(200 * scale))))
    for (const each of [other, ...screens]) each.close()
  }
  const figures: Figure[] = [
    {
      ...{ suite, name: 'round trip p50 beside 8 x 30 Mbit/s', unit: 'ms', value: median(beside) },
      ...{ peer: { name: 'alone', value: median(quiet) }, target: { is: 'at most', than: 1.5 }, noise: noiseOf(beside) },
    },
  ]
  return figures
}

/** Whether many downloads at once get alike; what bare proxies make of the same number says what the machine's own sockets do to it. */
async function fairness(porthole: Way, proxies: Way, scale: number): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const count of [10, 100]) {
    const ms = 6_000 * Math.max(0.5, scale)
    const shares = await shareOut(porthole, count, ms)
    const peer = { name: 'two bare Node proxies', value: jain(await shareOut(proxies, count, ms)) }
    const sum = shares.reduce((a, b) => a + b, 0)
    figures.push(
      { ...{ suite, name: `fairness of ${count} streams (Jain)`, unit: '', value: jain(shares), peer }, target: fair },
      {
        ...{ suite, name: `least of ${count} streams to their mean`, unit: '', peer: null },
        value: Math.min(...shares) / (sum / count),
      },
      { ...{ suite, name: `all of ${count} streams`, unit: 'MB/s', peer: null }, value: sum / 1000 / ms },
    )
  }
  return figures
}

const fair = { is: 'at least', than: 0.95, of: 'value' } as const
const jain = (shares: number[]) =>
  shares.reduce((a, b) => a + b, 0) ** 2 / (shares.length * shares.reduce((a, b) => a + b ** 2, 0))
/** Until then the kernel's own buffers fill, some megabytes for each of the sockets on the way. */
const warmMs = 3_000

async function shareOut(way: Way, count: number, ms: number): Promise<number[]> {
  const lines = await Promise.all(Array.from({ length: count }, () => way.open()))
  const got = lines.map(() => 0)
  let counting = false
  lines.forEach((line, n) => {
    line.onData(data => {
      if (counting) got[n]! += data.length
    })
    line.write(`send ${2 ** 40}\n`)
  })
  await new Promise(done => setTimeout(done, warmMs))
  counting = true
  await new Promise(done => setTimeout(done, ms))
  counting = false
  for (const line of lines) line.close()
  return got
}
