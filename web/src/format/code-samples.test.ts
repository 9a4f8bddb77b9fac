import { expect, test } from 'vitest'
import { addressesOf, samplesFor } from './code-samples.ts'

const urls = {
  view: '/sessions/ses_1',
  vnc: '/v1/sessions/ses_1/vnc',
  playwright: 'wss://porthole.example/v1/sessions/ses_1/playwright',
  cdp: null,
}

test('addresses are absolute and sockets have a socket scheme', () => {
  expect(addressesOf({ id: 'ses_1', urls }, 'https://porthole.example')).toEqual({
    view: 'https://porthole.example/sessions/ses_1',
    api: 'https://porthole.example/v1/sessions/ses_1',
    vnc: 'wss://porthole.example/v1/sessions/ses_1/vnc',
    playwright: 'wss://porthole.example/v1/sessions/ses_1/playwright',
    cdp: null,
  })
  expect(addressesOf({ id: 'ses_1', urls }, 'http://127.0.0.1:8080').vnc).toBe('ws://127.0.0.1:8080/v1/sessions/ses_1/vnc')
})

test('a tool without an address has no sample', () => {
  const tools = samplesFor(addressesOf({ id: 'ses_1', urls }, 'https://porthole.example'), '1.65.1').map(sample => sample.tool)
  expect(tools).toEqual(['playwright', 'playwright', 'api', 'vnc'])
})

test('the Playwright minor of the session is pinned in both languages', () => {
  const samples = samplesFor(addressesOf({ id: 'ses_1', urls }, 'https://porthole.example'), '1.65.1')
  expect(samples.find(one => one.language === 'javascript')?.setup).toBe('npm install playwright-core@~1.65.0')
  expect(samples.find(one => one.language === 'python')?.setup).toBe('pip install "playwright==1.65.*"')
})

test('a hostile address cannot leave its quotes', () => {
  const evil = "wss://x/'; require('child_process')//"
  const samples = samplesFor(
    { view: '', api: "https://x/'$(id)", vnc: null, playwright: evil, cdp: 'ws://y/"+evil+"' },
    undefined,
  )
  const code = (tool: string, language: string) => samples.find(one => one.tool === tool && one.language === language)?.code ?? ''
  expect(code('playwright', 'javascript')).toContain("'wss://x/\\'; require(\\'child_process\\')//'")
  expect(code('cdp', 'python')).toContain('"ws://y/\\"+evil+\\""')
  expect(code('api', 'curl')).toContain("'https://x/'\\''$(id)'")
})

test('no sample holds a token', () => {
  const all = samplesFor(addressesOf({ id: 'ses_1', urls: { ...urls, cdp: '/c' } }, 'https://p.example'), '1.65.1')
  for (const sample of all) expect(sample.code).toContain('PORTHOLE_TOKEN')
  expect(all.find(one => one.tool === 'api')?.scopes).toEqual(['sessions:read', 'sessions:write'])
})
