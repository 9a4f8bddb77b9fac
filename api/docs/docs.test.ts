import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ApiFixture, apiFixture, origin } from '../testing/api-fixture.ts'
import { referencePage } from './page.ts'
import { outline, type Schema } from './schema-outline.ts'

let api: ApiFixture
beforeAll(async () => {
  api = await apiFixture()
})
afterAll(() => api?.close())

describe('/openapi.json', () => {
  it('is 3.1, names both ways to authenticate, and every reference resolves', async () => {
    const { status, body } = await api.call('GET', '/openapi.json')
    expect(status).toBe(200)
    expect(body.openapi).toBe('3.1.0')
    expect(body.servers).toEqual([{ url: origin }])
    expect(Object.keys(body.components.securitySchemes)).toEqual(['bearer', 'cookie'])
    const text = JSON.stringify(body)
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g))
      expect(body.components.schemas).toHaveProperty([name!])
    const ids = Object.values<Record<string, { operationId: string }>>(body.paths).flatMap(item =>
      Object.values(item).map(operation => operation.operationId),
    )
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.every(id => /^[a-z][A-Za-z]+$/.test(id))).toBe(true)
  })

  it('has every route that the app answers, WebSockets included, and no other', async () => {
    const { body } = await api.call('GET', '/openapi.json')
    const declared = Object.entries<object>(body.paths).flatMap(([path, item]) =>
      Object.keys(item).map(method => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`),
    )
    const answered = api.app.routes
      .filter(route => route.method !== 'ALL')
      .map(route => `${route.method} ${route.path.replaceAll(/\{[^}]*\}$/g, '')}`)
    expect(new Set(answered)).toEqual(new Set(declared))
    for (const stream of ['vnc', 'playwright', 'cdp']) expect(body.paths).toHaveProperty([`/v1/sessions/{id}/${stream}`])
  })

  it('has patterns without flags, a summary for everything, and the idempotency key of every POST that asks who calls', async () => {
    const { body } = await api.call('GET', '/openapi.json')
    const patterns = [...JSON.stringify(body).matchAll(/"pattern":("(?:[^"\\]|\\.)*")/g)].map(
      ([, text]) => JSON.parse(text!) as string,
    )
    expect(patterns.length).toBeGreaterThan(20)
    for (const pattern of patterns) expect(() => new RegExp(pattern, 'u'), pattern).not.toThrow()
    expect(patterns.filter(pattern => /\/[dgimsuvy]+$/.test(pattern))).toEqual([])
    type Operation = { summary?: string; 'x-access': string; parameters?: { name: string }[] }
    for (const [path, item] of Object.entries<Record<string, Operation>>(body.paths)) {
      for (const [method, operation] of Object.entries(item)) {
        expect([path, typeof operation.summary]).toEqual([path, 'string'])
        const names = (operation.parameters ?? []).map(({ name }) => name.toLowerCase())
        const keyed = method === 'post' && !['public', 'agent'].includes(operation['x-access'])
        expect([path, names.filter(name => name === 'idempotency-key').length]).toEqual([path, keyed ? 1 : 0])
      }
    }
  })

  it('says of every route who may call it and what can go wrong', async () => {
    const { body } = await api.call('GET', '/openapi.json')
    for (const [path, item] of Object.entries<Record<string, { 'x-access': string; security: unknown[]; responses: object }>>(
      body.paths,
    )) {
      for (const operation of Object.values(item)) {
        const open = ['public', 'agent'].includes(operation['x-access'])
        expect(operation.security.length === 0, path).toBe(open)
        if (!open) expect(Object.keys(operation.responses), path).toEqual(expect.arrayContaining(['401', '403']))
      }
    }
  })
})

describe('/docs', () => {
  it('is a page with all calls, no script, and nothing loaded from elsewhere', async () => {
    const { status, headers, body } = await api.call('GET', '/docs')
    expect(status).toBe(200)
    expect(headers.get('content-type')).toMatch(/^text\/html/)
    const policy = headers.get('content-security-policy')!
    const nonce = /style-src 'nonce-([0-9a-z]{24})'/.exec(policy)?.[1]
    expect(policy).toContain("default-src 'none'")
    expect(body).toContain(`<style nonce="${nonce}">`)
    expect(body).not.toMatch(/<script|<link|<img|<iframe|\son\w+=|style="|javascript:|src=/i)
    for (const path of ['/v1/sessions', '/v1/tokens/{id}/rotate', '/v1/clusters/{id}/drain'])
      expect(body).toContain(`<code>${path}</code>`)
    expect((await api.call('GET', '/docs')).headers.get('content-security-policy')).not.toBe(policy)
    const links = [...body.matchAll(/href="#([^"]+)"/g)].map(match => match[1])
    for (const link of links) expect(body).toContain(`id="${link}"`)
  })

  it('escapes whatever the document says', () => {
    const evil = '"><img src=x onerror=alert(1)>`<u>`'
    const page = referencePage(
      {
        openapi: '3.1.0',
        info: { title: evil, version: evil, description: evil },
        paths: {
          [`/${evil}`]: { get: { operationId: evil, summary: evil, tags: [evil], responses: { 200: { description: evil } } } },
        },
      } as never,
      'n',
    )
    expect(page).not.toContain('<img')
    expect(page).not.toContain('<u>')
  })

  it('outlines schemas: nesting, arrays, references, null, and recursion that ends', () => {
    const schemas: Record<string, Schema> = {
      Tree: {
        type: 'object',
        required: ['id'],
        properties: { id: { type: 'string' }, children: { type: 'array', items: { $ref: 'Tree' } } },
      },
    }
    const resolve = (schema: Schema) => (schema.$ref ? schemas[schema.$ref]! : schema)
    const rows = outline(
      {
        allOf: [
          { $ref: 'Tree' },
          {
            type: 'object',
            required: ['when'],
            properties: { when: { anyOf: [{ type: 'string', format: 'date-time' }, { type: 'null' }] } },
          },
        ],
      },
      resolve,
    )
    const top = rows.filter(row => !/[.[]/.test(row.name))
    expect(top).toEqual([
      { name: 'id', type: 'string', required: true, text: '' },
      { name: 'children', type: 'object[]', required: false, text: '' },
      { name: 'when', type: 'date-time', required: true, text: '' },
    ])
    expect(rows.length).toBeLessThan(30)
  })
})
