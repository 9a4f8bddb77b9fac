/** Terminals end to end: `npm start`, a real sandbox, typed into by a program and by a person in the dashboard, cut and found again, flooded. */
import { readFileSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { browserProgram } from './browser-program.ts'
import { type Installation, install } from './installation.ts'
import { openTerminalView } from './terminal-view.ts'

/** 60 when it is measured; the shape of the curve shows sooner. */
const floodSeconds = Number(process.env.PORTHOLE_FLOOD_SECONDS ?? 6)

let porthole: Installation
let session: string
beforeAll(async () => {
  porthole = await install()
  session = (await porthole.session({ headless: true })).id
}, 240_000)
afterAll(async () => {
  const { code, left } = await porthole.stop()
  // Of terminals; what else may be left is the main job's test to say.
  expect({ code, left: left.filter(line => /script|bash|yes|sleep/.test(line)) }).toEqual({ code: 0, left: [] })
}, 60_000)

const open = (id: string, offset?: number) => openTerminalView(porthole, id, offset)
const made = async (body = {}) => (await porthole.api('POST', '/v1/terminals', { session, ...body })).body.id as string
const shown = async (id: string) => (await porthole.api('GET', `/v1/terminals/${id}`)).body

it('a shell in the session’s sandbox that survives a cut, and whose end is known', async () => {
  const id = await made({ cols: 100, rows: 30 })
  const first = await open(id)
  first.ws.send(Buffer.from('stty size; mine=kept; echo pid=$$.\n'))
  const [, pid] = await first.until(/30 100[\s\S]*pid=(\d+)\./)
  first.ws.send('{"type":"resize","cols":120,"rows":40}')
  first.ws.send(Buffer.from('sleep 1; stty size; echo re""sized\n'))
  await first.until(/40 120[\s\S]*resized/)
  first.ws.send(Buffer.from('(sleep 1; echo while you were aw""ay) &\n'))
  await first.until(/aw""ay\) &/)
  const offset = first.offset()
  first.ws.terminate()
  const again = await open(id, offset)
  await again.until(/while you were away/)
  again.ws.send(Buffer.from('echo $mine pid=$$.\n'))
  expect((await again.until(/kept pid=(\d+)\./))[1]).toBe(pid)
  again.ws.send(Buffer.from('exit 3\n'))
  await again.until(/\[exit 3\]/)
  await expect.poll(() => shown(id), { timeout: 30_000 }).toMatchObject({ status: 'ended', exit_code: 3 })
}, 120_000)

it('a shell in the sandbox of a job: its variables, its files, cut and found again, gone with the job', async () => {
  const command = 'while [ ! -e over ]; do sleep 0.2; done; exit 6'
  const { body: job } = await porthole.api('POST', '/v1/jobs', { type: 'run', command, env: { CITY: 'Porto' } })
  const now = async () => (await porthole.api('GET', `/v1/jobs/${job.id}`)).body
  await expect.poll(now, { timeout: 60_000 }).toMatchObject({ status: 'running' })
  const { id } = (await porthole.api('POST', '/v1/terminals', { job: job.id, cols: 100, rows: 30 })).body
  const first = await open(id)
  first.type('stty size; echo "in $CITY"; mine=kept')
  await first.until(/30 100[\s\S]*in Porto/)
  first.resize(120, 40)
  first.type('until stty size | grep -q "40 120"; do sleep 0.2; done; echo re""sized')
  await first.until(/resized/)
  first.ws.terminate()
  await first.closed
  const again = await open(id, first.offset())
  again.type('echo "still $mine"; touch over')
  await again.until(/still kept/)
  await expect.poll(now, { timeout: 60_000 }).toMatchObject({ status: 'failed', exit_code: 6 })
  await again.closed
  await expect.poll(() => shown(id), { timeout: 30_000 }).toMatchObject({ status: 'ended' })
}, 240_000)

it('`yes` and a viewer who does not read: memory stays flat, and what was dropped is said', async () => {
  const id = await made()
  const view = await open(id)
  view.ws.send(Buffer.from('yes 0123456789abcdef\n'))
  await view.until(/(0123456789abcdef\r\n){50}/)
  view.ws.pause()
  const pids = porthole.processes(/(api|agent)(\/node)?\/main\.ts|setup\/(start|api-and-agent|agent|api)\.ts/)
  const memory = () => pids.reduce((sum, pid) => sum + residentBytes(pid), 0)
  const samples: number[] = []
  for (const end = performance.now() + floodSeconds * 1000; performance.now() < end; ) {
    await new Promise(done => setTimeout(done, 500))
    samples.push(memory())
  }
  const [first, most] = [samples[2]!, Math.max(...samples.slice(2))]
  process.stdout.write(
    `flood of ${floodSeconds} s: ${pids.length} processes, ${mebibytes(first)} -> at most ${mebibytes(most)}\n`,
  )
  expect(most - first).toBeLessThan(100 * 2 ** 20)
  view.ws.resume()
  view.ws.send(Buffer.from('\x03'))
  view.ws.send(Buffer.from('\necho "do""ne"\n'))
  await view.until(/done/)
  expect(view.gaps()).toBeGreaterThan(2 ** 20)
  await porthole.api('DELETE', `/v1/terminals/${id}`)
  await view.closed
  await expect.poll(() => porthole.processes(/^yes 0123/).length, { timeout: 30_000 }).toBe(0)
}, 180_000)

it('a person types in the dashboard', async () => {
  const browser = await chromium.launch({ executablePath: browserProgram(), chromiumSandbox: process.getuid!() !== 0 })
  try {
    const page = await browser.newPage({ viewport: { width: 1300, height: 800 } })
    const complaints: string[] = []
    page.on('console', message => /Content Security Policy/.test(message.text()) && complaints.push(message.text()))
    await page.goto(`${porthole.url}/sessions/${session}`)
    await page.getByLabel('Token').fill(porthole.token)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('tab', { name: 'Terminal' }).click()
    await page.getByRole('button', { name: 'Open a terminal' }).click()
    await page.locator('.tty[data-phase=live]').waitFor()
    await page.locator('.xterm').click()
    await page.keyboard.type('echo typed by $((40+2)) hands')
    await page.keyboard.press('Enter')
    await page.locator('.xterm-rows').getByText('typed by 42 hands', { exact: true }).waitFor()
    expect(complaints).toEqual([])
  } finally {
    await browser.close()
  }
}, 120_000)

it('the session’s end is the end of its terminals', async () => {
  const id = await made()
  const view = await open(id)
  await porthole.api('POST', `/v1/sessions/${session}/stop`)
  expect((await view.closed)[0]).toBe(4410)
  await expect.poll(async () => (await shown(id)).status, { timeout: 15_000 }).toBe('ended')
}, 60_000)

function residentBytes(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}

const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`
