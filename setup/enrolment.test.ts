import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ApiFixture, apiFixture } from '../api/testing/api-fixture.ts'
import { Told } from './config.ts'
import { localJoinToken } from './enrolment.ts'

describe('the local agent’s way in', () => {
  let api: ApiFixture
  let agentDir: string
  beforeAll(async () => {
    api = await apiFixture()
  })
  afterAll(() => api?.close())
  beforeEach(() => {
    agentDir = mkdtempSync(join(tmpdir(), 'agent-'))
    return () => rmSync(agentDir, { recursive: true, force: true })
  })

  const token = (adminToken = api.admin.token) =>
    localJoinToken({
      url: 'http://api.test',
      adminToken,
      agentDir,
      fetch: async (url, init) => api.app.request(String(url), init),
    })
  const clusters = async () =>
    (await api.call('GET', '/v1/clusters', { token: api.admin })).body.data as { id: string; name: string }[]
  const keep = (key: unknown) => writeFileSync(join(agentDir, 'key.json'), JSON.stringify(key))

  it('makes the cluster once and a new token each time, until the agent has enrolled', async () => {
    const first = await token()
    const second = await token()
    expect(first).toEqual(expect.any(String))
    expect(second).not.toBe(first)
    const [local, ...others] = await clusters()
    expect(others).toEqual([])
    expect(local!.name).toBe('local')
    keep({ key: {} })
    expect(await token()).toEqual(expect.any(String))
    keep({ key: {}, enrolled: { cluster: { id: local!.id } } })
    expect(await token()).toBeNull()
  })

  it('enrols anew when the key is of a cluster that this database does not know', async () => {
    keep({ key: {}, enrolled: { cluster: { id: 'clu_elsewhere' } } })
    expect(await token()).toEqual(expect.any(String))
    expect(existsSync(join(agentDir, 'key.json'))).toBe(false)
  })

  it('says what the API answered when it refuses', async () => {
    const fault = await token('vnc-sk-none').catch(error => error)
    expect(fault).toBeInstanceOf(Told)
    expect(fault.message).toContain('GET /v1/clusters')
    expect(fault.message).toContain('401')
  })
})
