import { afterAll, beforeAll, expect, it } from 'vitest'
import { type ApiFixture, apiFixture } from './api-fixture.ts'

let api: ApiFixture
beforeAll(async () => {
  api = await apiFixture()
})
afterAll(() => api?.close())

it('answers unknown paths with a problem and the request id', async () => {
  const { status, body, headers } = await api.call('GET', '/v1/nowhere', { token: api.admin, headers: { 'x-request-id': 'r1' } })
  expect(status).toBe(404)
  expect(body).toMatchObject({ code: 'not_found', request_id: 'r1' })
  expect(headers.get('content-type')).toBe('application/problem+json')
})

it('knows the tokens it mints, and only those', async () => {
  const known = await api.mint()
  expect((await api.call('GET', '/v1/nowhere', { token: known })).status).toBe(404)
  expect((await api.call('GET', '/v1/nowhere', { token: `${known.token.slice(0, -1)}~` })).status).toBe(401)
})
