/**
 * A page of another site in a real Chromium whose user is logged in here: its requests carry no cookie that counts, its WebSockets are refused, and
 * not one byte reaches the agent. The same page on our own origin gets through, so the test can fail.
 */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Browser, type BrowserContext, chromium } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { echo, type FakeAgent } from '#api/testing/fake-agent.ts'
import { type NodeApi, nodeApi } from '#api/testing/node-api.ts'
import { browserProgram } from './e2e/browser-program.ts'

let api: NodeApi
let agent: FakeAgent
let browser: Browser
let context: BrowserContext
let evil: Server
let evilPort: number
let session: string
let opened = 0
let bytes = 0
beforeAll(async () => {
  api = await nodeApi()
  agent = await api.agent()
  const link = await agent.link()
  link.serve(open => {
    opened++
    void echo(open).then(ws => ws.on('message', data => (bytes += (data as Buffer).length)))
  })
  session = await api.session(agent.cluster)
  evil = createServer((_, answer) =>
    answer.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>evil</title>'),
  )
  await new Promise<void>(done => evil.listen(0, '0.0.0.0', done))
  evilPort = (evil.address() as AddressInfo).port
  browser = await chromium.launch({ executablePath: browserProgram(), args: ['--no-sandbox', '--disable-gpu'] })
  context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(`${api.url}/health`)
  const status = await page.evaluate(
    async token =>
      (
        await fetch('/v1/auth/login', {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ token }),
        })
      ).status,
    api.admin,
  )
  expect(status).toBe(200)
  expect((await context.cookies()).map(cookie => [cookie.name, cookie.httpOnly, cookie.sameSite])).toEqual([
    ['__Host-porthole', true, 'Strict'],
  ])
}, 90_000)
afterAll(async () => {
  await browser?.close()
  evil?.close()
  await api?.close()
})

/** What a page can try against us: a WebSocket with a ticket it somehow got, without one, and requests that change things. */
async function attack(page: { evaluate: <T, A>(work: (arg: A) => Promise<T>, arg: A) => Promise<T> }, ticket: string) {
  return page.evaluate(
    async ({ url, session, ticket }) => {
      const socket = (protocols: string[]) =>
        new Promise<string>(done => {
          const ws = new WebSocket(`${url.replace('http', 'ws')}/v1/sessions/${session}/vnc`, protocols)
          ws.onopen = () => {
            ws.send('bytes')
            setTimeout(() => done('open'), 300)
          }
          ws.onerror = () => done('refused')
        })
      const request = async (init: RequestInit) => {
        try {
          return (
            await fetch(`${url}/v1/sessions`, {
              method: 'POST',
              credentials: 'include',
              body: '{"template":"chromium"}',
              ...init,
            })
          ).status
        } catch {
          return 'refused'
        }
      }
      return {
        bare: await socket(['binary']),
        ticket: await socket(['binary', `ticket.${ticket}`]),
        json: await request({ headers: { 'content-type': 'application/json' } }),
        text: await request({ headers: { 'content-type': 'text/plain' } }),
        opaque: await request({ mode: 'no-cors' }),
      }
    },
    { url: api.url, session, ticket },
  )
}

async function ticket(): Promise<string> {
  const answer = await fetch(`${api.url}/v1/sessions/${session}/tickets`, {
    method: 'POST',
    headers: { authorization: `Bearer ${api.admin}`, 'content-type': 'application/json' },
    body: '{"stream":"vnc"}',
  })
  return ((await answer.json()) as { ticket: string }).ticket
}
const sessions = async () =>
  (
    (await (await fetch(`${api.url}/v1/sessions`, { headers: { authorization: `Bearer ${api.admin}` } })).json()) as {
      data: unknown[]
    }
  ).data.length

it.each([
  ['another site', () => `http://localhost:${evilPort}/`],
  ['another port of this host', () => `http://127.0.0.1:${evilPort}/`],
  ['no origin at all', () => `data:text/html,<title>x</title>`],
])('%s: sockets and changes are refused, no byte arrives', async (_, where) => {
  const [before, openBefore, bytesBefore] = [await sessions(), opened, bytes]
  const page = await context.newPage()
  await page.goto(where())
  const got = await attack(page as never, await ticket())
  expect([got.bare, got.ticket, got.json, got.text]).toEqual(['refused', 'refused', 'refused', 'refused'])
  expect([await sessions(), opened, bytes]).toEqual([before, openBefore, bytesBefore])
  await page.close()
})

it('our own page gets through', async () => {
  const page = await context.newPage()
  await page.goto(`${api.url}/health`)
  const got = await attack(page as never, await ticket())
  expect([got.bare, got.ticket, got.json]).toEqual(['refused', 'open', 201])
  expect(opened).toBe(1)
  expect(bytes).toBe(5)
  await page.close()
})
