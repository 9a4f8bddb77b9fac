/** A terminal in a real Chromium, under the strictest policy: typing, coming back after a cut, and what a hostile program cannot do. */
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type BuiltDashboard, buildDashboard, type OpenDashboard, openDashboard, soon } from './built-dashboard.ts'
import type { FakeTerminal } from './fake-terminals.ts'

let built: BuiltDashboard
let dashboard: OpenDashboard
let page: Page

beforeAll(async () => {
  built = await buildDashboard()
})
afterAll(() => built?.close())
beforeEach(async () => {
  dashboard = await openDashboard(built)
  page = dashboard.page
  await dashboard.context.grantPermissions(['clipboard-read', 'clipboard-write'])
})
afterEach(async () => {
  await dashboard.close()
  expect(dashboard.complaints).toEqual([])
})

async function open(): Promise<FakeTerminal> {
  const terminal = dashboard.api.terminals.make('ses_01a')
  await dashboard.open(`/terminals/${terminal.view.id}`)
  await page.locator('.tty[data-phase=live]').waitFor()
  return terminal
}
const screen = () => page.locator('.xterm-rows')

test('a session’s tab opens one, keys go there, what it says appears, sizes follow the page', async () => {
  await dashboard.open('/sessions/ses_01a')
  await page.getByRole('tab', { name: 'Terminal' }).click()
  await page.getByRole('button', { name: 'Open a terminal' }).click()
  await page.locator('.tty[data-phase=live]').waitFor()
  const [terminal] = [...dashboard.api.terminals.all.values()]
  await page.locator('.xterm').click()
  await page.keyboard.type('echo hi')
  await page.keyboard.press('Enter')
  await page.keyboard.press('Control+c')
  await soon(() => expect(terminal!.typed).toBe('echo hi\r\x03'))
  terminal!.say('$ echo hi\r\n\x1b[32mhi from the shell\x1b[0m\r\n')
  await screen().getByText('hi from the shell').waitFor()
  await soon(() => expect(terminal!.sizes.at(-1)).toMatch(/^\d+x\d+$/))
  const [narrow] = terminal!.sizes.at(-1)!.split('x').map(Number)
  await page.getByRole('button', { name: 'On a page of its own' }).click()
  await page.locator('.terminal-page .tty[data-phase=live]').waitFor()
  await screen().getByText('hi from the shell').waitFor()
  await soon(() => expect(Number(terminal!.sizes.at(-1)!.split('x')[0])).toBeGreaterThan(narrow! * 1.5))
})

test('into a job that runs, back to its log, and into the same shell again', async () => {
  await dashboard.open('/jobs/job_01run')
  await page.getByRole('button', { name: 'Terminal' }).click()
  await page.locator('.terminal-page .tty[data-phase=live]').waitFor()
  await page.getByRole('link', { name: 'Back to the job' }).click()
  await page.getByRole('heading', { name: 'checkout tests' }).waitFor()
  await page.getByRole('button', { name: 'Terminal' }).click()
  await page.locator('.terminal-page .tty[data-phase=live]').waitFor()
  const all = [...dashboard.api.terminals.all.values()].map(one => one.view)
  expect(all).toEqual([expect.objectContaining({ job: 'job_01run', session: null, pod: null })])
})

test('of what a manifest made, the pod that is named; into what has ended, no way', async () => {
  await dashboard.open('/jobs/job_07man')
  await page.getByRole('button', { name: 'Terminal' }).click()
  await page.getByRole('textbox', { name: /^Pod/ }).fill('shop-7f9c')
  await page.getByRole('button', { name: 'Open a terminal' }).click()
  await page.locator('.terminal-page .tty[data-phase=live]').waitFor()
  expect([...dashboard.api.terminals.all.values()].map(one => one.view.pod)).toEqual(['shop-7f9c'])
  await page.goto(`${dashboard.api.url}/jobs/job_03fail`)
  await page.getByRole('heading', { name: 'nightly e2e' }).waitFor()
  expect(await page.getByRole('button', { name: 'Terminal' }).count()).toBe(0)
})

test('the network is cut: it comes back by itself, from the very byte, and types nothing twice', async () => {
  const terminal = await open()
  terminal.say('one\r\n')
  await screen().getByText('one').waitFor()
  dashboard.api.cut(true)
  await page.getByText('The shell lives on').waitFor()
  terminal.say('two\r\n')
  dashboard.api.cut(false)
  await page.locator('.tty[data-phase=live]').waitFor()
  await screen().getByText('two').waitFor()
  expect(terminal.asked).toEqual([null, 5])
  expect(((await screen().textContent()) ?? '').match(/one/g)).toHaveLength(1)
  await page.keyboard.type('x')
  await soon(() => expect(terminal.typed).toBe('x'))
})

test('what was dropped is said in its place; the end is said, and final', async () => {
  const terminal = await open()
  terminal.say('\x1b[31mred and \x1b]0;half a tit')
  terminal.drop(123_456)
  terminal.say('after the gap')
  await screen().getByText('123,456 bytes were dropped here').waitFor()
  await screen().getByText('after the gap').waitFor()
  terminal.exit(3)
  await page.getByText('The shell ended with exit code 3.').waitFor()
  const tickets = dashboard.api.calls.filter(call => call.endsWith('/tickets')).length
  await page.evaluate('window.dispatchEvent(new Event("online"))')
  await page.keyboard.type('nobody hears this')
  expect(dashboard.api.calls.filter(call => call.endsWith('/tickets'))).toHaveLength(tickets)
  expect(terminal.typed).toBe('')
})

const esc = '\x1b'
const hostile = [
  ...['c;aGFja2Vk', 'p;aGFja2Vk', 'c;?', 'p;?', ';?', 's0;aGFja2Vk', 'c;!'].map(data => `${esc}]52;${data}\x07`),
  `${esc}]52;c;aGFja2Vk${esc}\\`,
  '\x9d52;c;aGFja2Vk\x9c',
  ...[0, 1, 2].map(kind => `${esc}]${kind};"><img src=x onerror=alert(1)>\x07`),
  ...[
    'javascript:alert(1)',
    'data:text/html,<script>alert(1)</script>',
    'file:///etc/passwd',
    'vbscript:x',
    'JaVaScRiPt:alert(1)',
    ' javascript:1',
    'chrome://settings',
    'about:blank',
  ].map(url => `${esc}]8;;${url}\x07link${esc}]8;;\x07 `),
  ...['4;1;?', '10;?', '11;?', '12;?', '4;0;?;1;?', '104', '110'].map(colour => `${esc}]${colour}\x07`),
  ...['m', '"p', 'r', ' q', '$q', '"q', 's', 't'].map(what => `${esc}P$q${what}${esc}\\`),
  ...['544e', '436f', '6b31'].map(name => `${esc}P+q${name}${esc}\\`),
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23].map(operation => `${esc}[${operation}t`),
  ...['4;1;1t', '8;9999;9999t', '3;0;0t'].map(operation => `${esc}[${operation}`),
  `${esc}]1337;File=inline=1:AAAA\x07`,
  `${esc}]777;notify;a;b\x07`,
  `${esc}]9;hello\x07`,
  `${esc}]50;?\x07`,
  `${esc}_G f=100;AAAA${esc}\\`,
  `${esc}^private${esc}\\`,
  `${esc}[?1000h`,
  `${esc}[1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17m`,
  `${esc}[99999999999999999999A`,
]

test('a hostile program: no clipboard, no answer that carries text, no title, no link but to the web', async () => {
  expect(hostile.length).toBeGreaterThanOrEqual(60)
  const terminal = await open()
  await page.evaluate('navigator.clipboard.writeText("untouched")')
  for (const sequence of hostile) {
    terminal.say(Buffer.from(sequence, 'latin1'))
    // And cut at every byte.
    for (const byte of Buffer.from(sequence, 'latin1')) terminal.say(Buffer.from([byte]))
  }
  terminal.say(`${esc}[?1000l${esc}[0m\r\nall of it was read`)
  await screen().getByText('all of it was read').waitFor()
  expect(terminal.typed).toBe('')
  expect(await page.evaluate('navigator.clipboard.readText()')).toBe('untouched')
  expect(await page.title()).not.toContain('img')
  expect(await page.locator('.tty a, .tty img, .tty script').count()).toBe(0)
  // What programs must be able to ask still works.
  terminal.say(`${esc}[6n${esc}[c`)
  await soon(() => expect(terminal.typed).toMatch(/\x1b\[\d+;\d+R.*\x1b\[\?[\d;]+c/s))
})

test('answers to what was there before are sent to nobody', async () => {
  const terminal = dashboard.api.terminals.make('ses_01a')
  terminal.say(`an old question ${esc}[6n${esc}[c${esc}[5n`)
  await dashboard.open(`/terminals/${terminal.view.id}`)
  await screen().getByText('an old question').waitFor()
  terminal.say(`${esc}[6n`)
  await soon(() => expect(terminal.typed).toMatch(/^\x1b\[1;\d+R$/))
})

test('an endless sequence does not hang the page', async () => {
  const terminal = await open()
  terminal.say(`${esc}]52;c;`)
  for (let at = 0; at < 3; at++) terminal.say(Buffer.alloc(2 ** 20, 'A'))
  terminal.say('\x18')
  terminal.say('\r\nstill here')
  await screen().getByText('still here').waitFor()
})

test('a link to the web asks first, and shows where it leads', async () => {
  const terminal = await open()
  terminal.say(`${esc}]8;;https://example.com/docs\x07read this${esc}]8;;\x07`)
  await screen().getByText('read this').waitFor()
  const box = (await screen().boundingBox())!
  await page.mouse.move(box.x + 20, box.y + 8)
  await page.mouse.move(box.x + 24, box.y + 8)
  await page.mouse.click(box.x + 24, box.y + 8)
  await page.getByRole('dialog').getByText('https://example.com/docs').waitFor()
  await page.getByRole('button', { name: 'Cancel' }).click()
  expect(dashboard.context.pages()).toHaveLength(1)
})

test('several lines are pasted only after a question, unless the program marks pastes', async () => {
  const terminal = await open()
  const paste = async (text: string) => {
    await page.evaluate(`navigator.clipboard.writeText(${JSON.stringify(text)})`)
    await page.getByRole('button', { name: 'Paste' }).click()
  }
  await paste('one line')
  await soon(() => expect(terminal.typed).toBe('one line'))
  await paste('rm -rf x\nmore')
  await page.getByRole('dialog').getByText('rm -rf x').waitFor()
  await page.getByRole('button', { name: 'Cancel' }).click()
  expect(terminal.typed).toBe('one line')
  terminal.say(`${esc}[?2004h marked`)
  await screen().getByText('marked').waitFor()
  await paste('a\nb')
  await soon(() => expect(terminal.typed).toBe(`one line${esc}[200~a\rb${esc}[201~`))
})

test('search finds, copying copies', async () => {
  const terminal = await open()
  terminal.say(`needle here\r\n${'hay\r\n'.repeat(200)}`)
  await screen().getByText('hay').first().waitFor()
  await page.getByRole('button', { name: 'Search' }).click()
  await page.getByLabel('Search in the output').fill('needle')
  await page.keyboard.press('Enter')
  await screen().getByText('needle here').waitFor()
  await page.getByRole('button', { name: 'Copy the selection' }).click()
  await soon(async () => expect(await page.evaluate('navigator.clipboard.readText()')).toBe('needle'))
})
