/** Whether pod templates hold under the *restricted* Pod Security Standard, and have what every pod of ours has. Pure; for tests over rendered charts. */
import type { KubeObject } from './chart.ts'

interface Container {
  name: string
  image?: string
  ports?: { hostPort?: number }[]
  resources?: { requests?: object; limits?: { memory?: string } }
  securityContext?: {
    privileged?: boolean
    allowPrivilegeEscalation?: boolean
    readOnlyRootFilesystem?: boolean
    runAsNonRoot?: boolean
    runAsUser?: number
    procMount?: string
    capabilities?: { drop?: string[]; add?: string[] }
  }
}

interface Pod {
  hostNetwork?: boolean
  hostPID?: boolean
  hostIPC?: boolean
  enableServiceLinks?: boolean
  automountServiceAccountToken?: boolean
  securityContext?: { runAsNonRoot?: boolean; runAsUser?: number; seccompProfile?: { type: string }; sysctls?: unknown[] }
  volumes?: Record<string, unknown>[]
  initContainers?: Container[]
  containers: Container[]
}

const allowedVolumes = [
  'configMap',
  'downwardAPI',
  'emptyDir',
  'persistentVolumeClaim',
  'projected',
  'secret',
  'csi',
  'ephemeral',
]

export function podOf(object: KubeObject): Pod | null {
  if (object.kind === 'Pod') return object.spec as Pod
  const template = (object.spec as { template?: { spec?: Pod } } | undefined)?.template
  return template?.spec ?? null
}

export function insecurities(pod: Pod): string[] {
  const told: string[] = []
  const rules = pod.securityContext ?? {}
  const expect = (holds: boolean, sentence: string) => {
    if (!holds) told.push(sentence)
  }
  expect(!pod.hostNetwork && !pod.hostPID && !pod.hostIPC, 'shares a namespace of the node')
  expect(rules.runAsNonRoot === true && Number(rules.runAsUser) > 0, 'may run as root')
  expect(/^(RuntimeDefault|Localhost)$/.test(rules.seccompProfile?.type ?? ''), 'has no seccomp profile')
  expect(!rules.sysctls?.length, 'sets sysctls')
  expect(pod.enableServiceLinks === false, 'is told about every Service')
  expect(pod.automountServiceAccountToken !== undefined, 'leaves open whether it gets a token')
  for (const volume of pod.volumes ?? []) {
    const kind = Object.keys(volume).find(key => key !== 'name')
    expect(allowedVolumes.includes(kind ?? ''), `mounts a ${kind}`)
  }
  for (const { name, image, ports, resources, securityContext: own = {} } of [...(pod.initContainers ?? []), ...pod.containers]) {
    expect(/:[\w.-]+$|@sha256:/.test(image ?? '') && !image?.endsWith(':latest'), `${name}: its image has no version`)
    expect(own.allowPrivilegeEscalation === false && !own.privileged, `${name}: may gain privileges`)
    expect(own.readOnlyRootFilesystem === true, `${name}: can write to its image`)
    expect(own.capabilities?.drop?.includes('ALL') === true && !own.capabilities.add?.length, `${name}: keeps capabilities`)
    expect(own.runAsNonRoot !== false && own.runAsUser !== 0 && !own.procMount, `${name}: takes its pod's rules back`)
    expect(!ports?.some(({ hostPort }) => hostPort), `${name}: listens on the node`)
    expect(resources?.requests !== undefined && resources.limits?.memory !== undefined, `${name}: has no memory limit`)
  }
  return told
}
