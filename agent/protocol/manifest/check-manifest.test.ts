import { describe, expect, it } from 'vitest'
import { checkManifest } from './check-manifest.ts'
import { limits } from './document-text.ts'
import { kinds } from './kinds.ts'
import { good, violations, withValue } from './testing/violations.ts'

const check = (text: string) => checkManifest(text, { namespace: 'team-a' })
const objectsOf = (text: string) => {
  const checked = check(text)
  if (!checked.ok) throw new Error(JSON.stringify(checked.faults))
  return checked.objects
}

describe('one thing wrong', () => {
  it('is more than eighty ways', () => {
    expect(violations.length).toBeGreaterThan(150)
    expect(new Set(violations.map(({ name }) => name)).size).toBe(violations.length)
  })

  it.each(violations)('$name', ({ text, pointer }) => {
    const checked = check(text)
    expect(checked.ok).toBe(false)
    expect(!checked.ok && checked.faults.map(fault => fault.pointer)).toContain(pointer)
  })

  it.each(violations.filter(({ text }) => text.startsWith('{')))('and only that: $name', ({ text, pointer }) => {
    const checked = check(text)
    const others = checked.ok
      ? []
      : checked.faults.filter(fault => !fault.pointer.startsWith(pointer) && !pointer.startsWith(fault.pointer))
    expect(others).toEqual([])
  })
})

describe('what is good', () => {
  it.each(Object.keys(good))('%s passes', kind => {
    const [object] = objectsOf(JSON.stringify(good[kind]))
    expect(object).toMatchObject({ name: 'x', kind: { kind }, body: { metadata: { namespace: 'team-a' } } })
  })

  it('every accepted kind has a good example', () => {
    expect(new Set(kinds.map(({ kind }) => kind))).toEqual(new Set(Object.keys(good)))
  })

  it('many documents, comments, a List, what kubectl writes into files, simple aliases', () => {
    const objects = objectsOf(`# shop
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: team-a
  creationTimestamp: null
data:
  mode: &mode "0777"
  again: *mode
  answer: "no"
---
---
apiVersion: v1
kind: List
metadata: {}
items:
  - apiVersion: v1
    kind: Secret
    metadata: {name: keys}
    stringData: {a: b}
  - apiVersion: v1
    kind: Service
    metadata: {name: web}
    spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
    status: {}
`)
    expect(objects.map(({ kind, name }) => `${kind.kind}/${name}`)).toEqual(['ConfigMap/settings', 'Secret/keys', 'Service/web'])
    expect(objects[0]!.body).toMatchObject({ data: { mode: '0777', again: '0777', answer: 'no' } })
    expect(objects[2]!.body).not.toHaveProperty('status')
    expect(objects[0]!.body.metadata).not.toHaveProperty('creationTimestamp')
  })

  it.each(['Pod', 'Deployment', 'StatefulSet', 'Job', 'CronJob'])('a %s that says nothing is hardened', kind => {
    const [object] = objectsOf(JSON.stringify(good[kind]))
    const spec = object!.kind.podSpec!.reduce(
      (at: Record<string, unknown>, step) => at[step] as Record<string, unknown>,
      object!.body,
    )
    expect(spec).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [{ securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } }],
    })
  })

  it('and what it may say is kept', () => {
    const spec = {
      containers: [
        {
          name: 'c',
          image: 'i',
          securityContext: {
            runAsUser: 7,
            readOnlyRootFilesystem: true,
            capabilities: { add: ['NET_BIND_SERVICE'], drop: ['CHOWN'] },
          },
        },
      ],
    }
    const [object] = objectsOf(JSON.stringify(withValue('Pod', '/spec', spec)))
    expect((object!.body.spec as { containers: unknown[] }).containers[0]).toMatchObject({
      securityContext: { runAsUser: 7, readOnlyRootFilesystem: true, capabilities: { add: ['NET_BIND_SERVICE'], drop: ['ALL'] } },
    })
  })
})

describe('places', () => {
  it('name the line too', () => {
    const checked = check(
      'apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  hostNetwork: true\n  containers: [{name: c, image: i}]\n',
    )
    expect(!checked.ok && checked.faults).toEqual([
      { pointer: '/0/spec/hostNetwork', detail: expect.stringContaining('node'), line: 5 },
    ])
  })

  it('hold odd keys', () => {
    const checked = check(JSON.stringify(withValue('ConfigMap', '/data', { 'a/b~c': 'd' })))
    expect(!checked.ok && checked.faults[0]!.pointer).toBe('/0/data/a~1b~0c')
  })
})

it('costs little, whatever it is given', () => {
  const parts = [
    '[',
    '[]',
    '{',
    '- ',
    '? ',
    'a: ',
    '&a ',
    '*a ',
    '!!x ',
    '"',
    "'",
    '"" ',
    '|',
    '\n',
    '---\n',
    ',',
    '\t',
    'a:\n',
    ': ',
    '- {a: 1}\n',
  ]
  for (const part of parts) {
    const from = process.cpuUsage().user
    expect(check(part.repeat(Math.floor(limits.bytes / part.length))).ok).toBe(false)
    expect((process.cpuUsage().user - from) / 1e6).toBeLessThan(3)
  }
}, 60_000)
