import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type KubeObject, renderChart, type Values } from './chart.ts'
import { forbiddenRights, rightsOf, rightText } from './rights.ts'

const chart = join(import.meta.dirname, 'helm/porthole-agent')
const render = (values: Values = {}) =>
  renderChart(chart, {
    name: 'agent',
    namespace: 'system',
    values: { url: 'https://a.example', sessions: { namespace: 'sessions' }, ...values },
  })
const rights = (values?: Values) => rightsOf(render(values))
const told = (values?: Values) => rights(values).map(rightText).sort()

const everything: Values = { rbac: { exec: true, nodes: true }, network: { dial: 'port-forward' } }

it('this is all the agent may do', () => {
  expect(told()).toEqual(
    [
      ...['get', 'list', 'watch', 'create', 'delete', 'patch'].map(verb => `${verb} pods in sessions`),
      'get pods/log in sessions',
      ...['get', 'list', 'watch'].map(verb => `${verb} events in sessions`),
      ...['get', 'list', 'create', 'delete', 'patch'].map(verb => `${verb} persistentvolumeclaims in sessions`),
      ...['get', 'list', 'create', 'delete', 'patch'].map(verb => `${verb} networkpolicies.networking.k8s.io in sessions`),
      'list resourcequotas in sessions',
      ...['get', 'patch'].map(verb => `${verb} secrets/porthole-agent-porthole in system`),
      ...['get', 'update'].map(verb => `${verb} leases.coordination.k8s.io/porthole-agent-porthole in system`),
      'create leases.coordination.k8s.io in system',
    ].sort(),
  )
})

it('each switch adds only what it says', () => {
  const base = told()
  const added = (values: Values) => told(values).filter(right => !base.includes(right))
  expect(added({ rbac: { exec: true } })).toEqual(['create pods/exec in sessions', 'get pods/exec in sessions'])
  expect(added({ rbac: { nodes: true } })).toEqual(['get nodes in the whole cluster'])
  expect(added({ network: { dial: 'port-forward' } })).toEqual([
    'create pods/portforward in sessions',
    'get pods/portforward in sessions',
  ])
})

it('in a project’s namespace the agent may only act as its account, which has rights only there', () => {
  const objects = render({ projects: [{ project: 'prj_a', namespace: 'team-a', createNamespace: true }] })
  const roles = objects.filter(({ kind, metadata }) => kind === 'Role' && metadata.namespace === 'team-a')
  const boundTo = (account: string) => {
    const names = objects
      .filter(({ kind, subjects }) => kind.endsWith('Binding') && (subjects as { name: string }[])[0]!.name === account)
      .map(({ metadata, roleRef }) => `${metadata.namespace}/${(roleRef as { name: string }).name}`)
    return roles.filter(({ metadata }) => names.includes(`team-a/${metadata.name}`))
  }
  expect(rightsOf(boundTo('porthole-agent')).map(rightText)).toEqual(['impersonate serviceaccounts/porthole-tenant in team-a'])
  const tenant = rightsOf(boundTo('porthole-tenant'))
  expect(new Set(tenant.map(({ namespace }) => namespace))).toEqual(new Set(['team-a']))
  expect(
    tenant.map(({ resource }) => resource).filter(word => /rbac|exec|serviceaccounts|networkpolicies|quota|nodes|\*/.test(word)),
  ).toEqual([])
  const shells = render({ rbac: { exec: true }, projects: [{ project: 'prj_a', namespace: 'team-a', createNamespace: true }] })
  const more = rightsOf(shells.filter(({ kind, metadata }) => kind === 'Role' && metadata.namespace === 'team-a')).map(rightText)
  expect(more.filter(right => !rightsOf(roles).map(rightText).includes(right))).toEqual([
    'get pods/exec in team-a',
    'create pods/exec in team-a',
  ])
  const account = objects.find(({ kind, metadata }) => kind === 'ServiceAccount' && metadata.namespace === 'team-a')
  expect(account).toMatchObject({ metadata: { name: 'porthole-tenant' }, automountServiceAccountToken: false })
})

it.each([
  ['with the defaults', {}],
  ['with everything on', everything],
])('%s nothing forbidden is granted', (_, values) => {
  expect(forbiddenRights(rights(values), 'system')).toEqual([])
})

it('no Role is bound to anybody but the agent, and none to the ServiceAccount of sessions', () => {
  const bindings = render(everything).filter(({ kind }) => kind.endsWith('Binding'))
  expect(bindings.map(({ kind }) => kind).sort()).toEqual(['ClusterRoleBinding', 'RoleBinding', 'RoleBinding'])
  for (const binding of bindings) {
    expect(binding.subjects).toEqual([{ kind: 'ServiceAccount', name: 'porthole-agent', namespace: 'system' }])
    const role = binding.roleRef as { kind: string; name: string }
    const granted = render(everything).some(
      ({ kind, metadata }) =>
        kind === role.kind && metadata.name === role.name && metadata.namespace === binding.metadata.namespace,
    )
    expect(granted).toBe(true)
  }
})

it('the chart of the API grants nothing at all', () => {
  const objects = renderChart(join(import.meta.dirname, 'helm/porthole'), {
    name: 'porthole',
    namespace: 'porthole',
    values: { postgres: { password: 'abc' } },
  })
  expect(rightsOf(objects)).toEqual([])
  expect(objects.some(({ kind }) => kind.endsWith('Binding'))).toBe(false)
})

describe('each of these is found', () => {
  const role = (namespace: string | null, apiGroup: string, resource: string, verb: string, names?: string[]): KubeObject => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: namespace === null ? 'ClusterRole' : 'Role',
    metadata: { name: 'seeded', ...(namespace !== null && { namespace }) },
    rules: [{ apiGroups: [apiGroup], resources: [resource], verbs: [verb], ...(names && { resourceNames: names }) }],
  })
  const rbac = 'rbac.authorization.k8s.io'
  it.each<[string, KubeObject]>([
    ['list secrets', role('system', '', 'secrets', 'list')],
    ['get secrets, any', role('system', '', 'secrets', 'get')],
    ['list secrets "by name"', role('system', '', 'secrets', 'list', ['a'])],
    ['delete its Secret', role('system', '', 'secrets', 'delete', ['a'])],
    ['every verb', role('sessions', '', 'pods', '*')],
    ['every resource', role('sessions', '', '*', 'get')],
    ['every subresource', role('sessions', '', 'pods/*', 'get')],
    ['pods beside the agent', role('system', '', 'pods', 'create')],
    ['pods everywhere', role(null, '', 'pods', 'create')],
    ['exec everywhere', role(null, '', 'pods/exec', 'create')],
    ['nodes/proxy', role(null, '', 'nodes/proxy', 'get')],
    ['list nodes', role(null, '', 'nodes', 'list')],
    ['patch nodes', role(null, '', 'nodes', 'patch')],
    ['serviceaccounts/token', role('sessions', '', 'serviceaccounts/token', 'create')],
    ['impersonate', role(null, '', 'users', 'impersonate')],
    ['escalate', role('sessions', rbac, 'roles', 'escalate')],
    ['bind', role('sessions', rbac, 'roles', 'bind')],
    ['create RoleBindings', role('sessions', rbac, 'rolebindings', 'create')],
    ['approve certificates', role(null, 'certificates.k8s.io', 'certificatesigningrequests/approval', 'update')],
    ['webhooks', role(null, 'admissionregistration.k8s.io', 'mutatingwebhookconfigurations', 'create')],
    ['persistent volumes', role(null, '', 'persistentvolumes', 'create')],
    ['storage classes', role(null, 'storage.k8s.io', 'storageclasses', 'create')],
    ['patch namespaces', role(null, '', 'namespaces', 'patch')],
    ['raise its quota', role('sessions', '', 'resourcequotas', 'patch')],
    ['change its policy', role('system', '', 'configmaps', 'patch')],
    ['attach', role('sessions', '', 'pods/attach', 'create')],
    ['debug containers', role('sessions', '', 'pods/ephemeralcontainers', 'patch')],
    ['DaemonSets', role('sessions', 'apps', 'daemonsets', 'create')],
    ['Jobs', role('sessions', 'batch', 'jobs', 'create')],
    ['Services', role('sessions', '', 'services', 'create')],
  ])('%s', (_, seeded) => {
    expect(forbiddenRights(rightsOf([seeded]), 'system')).not.toEqual([])
  })
})
