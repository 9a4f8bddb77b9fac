/** What Roles grant, one by one, and which of it nobody may ever give the agent. Pure; the table is read against rendered charts by tests. */
import type { KubeObject } from './chart.ts'

interface Rule {
  apiGroups?: string[]
  resources?: string[]
  resourceNames?: string[]
  nonResourceURLs?: string[]
  verbs: string[]
}

export interface Right {
  /** null: in the whole cluster. */
  namespace: string | null
  verb: string
  /** With its API group unless that is the core's: `leases.coordination.k8s.io`. */
  resource: string
  /** null: any. */
  name: string | null
}

export function rightsOf(objects: KubeObject[]): Right[] {
  return objects
    .filter(({ kind }) => kind === 'Role' || kind === 'ClusterRole')
    .flatMap(role => {
      const namespace = role.kind === 'Role' ? role.metadata.namespace! : null
      return ((role.rules ?? []) as Rule[]).flatMap(rule => rightsOfRule(namespace, rule))
    })
}

function rightsOfRule(namespace: string | null, rule: Rule): Right[] {
  const paths = (rule.nonResourceURLs ?? []).map(path => `path ${path}`)
  const groups = rule.apiGroups ?? ['']
  const resources = (rule.resources ?? []).flatMap(resource =>
    groups.map(group => (group === '' ? resource : `${resource}.${group}`)),
  )
  const names = rule.resourceNames?.length ? rule.resourceNames : [null]
  return [...resources, ...paths].flatMap(resource =>
    rule.verbs.flatMap(verb => names.map(name => ({ namespace, verb, resource, name }))),
  )
}

const anyWrite = /^(create|update|patch|delete|deletecollection)$/
const writes = (right: Right) => anyWrite.test(right.verb)

/** The account of a project's namespace, by name: what that one may do is the namespace's business. */
const actsForProject = ({ namespace, verb, resource, name }: Right) =>
  verb === 'impersonate' && resource === 'serviceaccounts' && name === 'porthole-tenant' && namespace !== null

/** Each leads to more than it says: Kubernetes' "RBAC good practices", and what this agent in particular must not have. */
const forbidden: { why: string; is: (right: Right) => boolean }[] = [
  {
    why: 'a wildcard grants what nobody has thought of yet',
    is: ({ verb, resource }) => verb === '*' || /(^|\/)\*/.test(resource),
  },
  { why: 'reading Secrets is being whoever they belong to', is: ({ resource, name }) => resource === 'secrets' && name === null },
  {
    why: 'names do not bind lists',
    is: ({ verb, name }) => name !== null && /^(list|watch|create|deletecollection)$/.test(verb),
  },
  {
    why: 'only its own Secret, and only to read and fill it',
    is: ({ resource, verb }) => resource === 'secrets' && !/^(get|patch)$/.test(verb),
  },
  {
    why: 'escalate, bind and impersonate go round RBAC',
    is: right => /^(escalate|bind|impersonate|approve|sign)$/.test(right.verb) && !actsForProject(right),
  },
  { why: 'roles make rights', is: ({ resource }) => /\.rbac\.authorization\.k8s\.io$/.test(resource) },
  {
    why: 'tokens of other ServiceAccounts',
    is: right => right.resource.startsWith('serviceaccounts') && !actsForProject(right),
  },
  { why: 'the kubelet runs anything in any pod', is: ({ resource }) => /^nodes\/|^pods\/proxy|^services\/proxy/.test(resource) },
  { why: 'nodes are the cluster administrator’s', is: right => right.resource === 'nodes' && right.verb !== 'get' },
  {
    why: 'attach and debug containers go round exec',
    is: ({ resource }) => /^pods\/(attach|ephemeralcontainers|eviction|binding)/.test(resource),
  },
  { why: 'certificates are identities', is: ({ resource }) => /certificatesigningrequests/.test(resource) },
  {
    why: 'admission sees and changes everything',
    is: ({ resource }) => /\.admissionregistration\.k8s\.io$|^apiservices/.test(resource),
  },
  { why: 'a volume may be the node’s disk', is: ({ resource }) => /^persistentvolumes$|\.storage\.k8s\.io$/.test(resource) },
  { why: 'labels of a namespace switch its walls off', is: ({ resource }) => resource.startsWith('namespaces') },
  {
    why: 'limits and policy are the operator’s',
    is: right => writes(right) && /^(resourcequotas|limitranges|configmaps|events)/.test(right.resource),
  },
  {
    why: 'other workloads make pods with rules of their own',
    is: ({ resource }) => /\.(apps|batch|autoscaling)$|^replicationcontrollers/.test(resource),
  },
  {
    why: 'nothing of a session is published',
    is: ({ resource }) => /^(services|endpoints)|^ingresses\.|^endpointslices\./.test(resource),
  },
  {
    why: 'everything but `get nodes` stays in a namespace',
    is: ({ namespace, resource }) => namespace === null && resource !== 'nodes',
  },
]

/** One sentence for each right that must not be. `system`: the agent's own namespace, where it may not touch pods at all. */
export function forbiddenRights(rights: Right[], system: string): string[] {
  return rights.flatMap(right => {
    const told = forbidden.filter(({ is }) => is(right)).map(({ why }) => why)
    if (right.namespace === system && /^pods|^persistentvolumeclaims|^networkpolicies/.test(right.resource))
      told.push('pods beside the agent could have its ServiceAccount')
    return told.map(why => `${rightText(right)}: ${why}`)
  })
}

export const rightText = ({ namespace, verb, resource, name }: Right) =>
  `${verb} ${resource}${name === null ? '' : `/${name}`} in ${namespace ?? 'the whole cluster'}`
