/** Claims: a volume's, which outlives sessions, and a session's own home, which outlives its pods. */
import type { SessionSpec } from '#protocol/session-spec.ts'
import { annotation, label, labelValue, objectName, ownLabels } from './labels.ts'
import { bytesQuantity } from './quantity.ts'
import type { KubernetesSettings } from './settings.ts'
import type { Claim } from './wire.ts'

/** null: the session's files live and die with its pod. */
export function claimFor(session: string, spec: SessionSpec, settings: KubernetesSettings): Claim | null {
  if (spec.volume) {
    const { id, size_bytes } = spec.volume
    return claim(objectName(id), size_bytes ?? spec.limits.storage_bytes ?? settings.homeBytes, settings, {
      labels: { ...ownLabels(settings.agentName, 'volume'), [label.volume]: id, [label.project]: labelValue(spec.project) },
      annotations: { [annotation.writer]: session },
    })
  }
  if (!settings.keepHomes.includes(spec.kind)) return null
  return claim(homeName(session), spec.limits.storage_bytes ?? settings.homeBytes, settings, {
    labels: { ...ownLabels(settings.agentName, 'session'), [label.session]: session, [label.project]: labelValue(spec.project) },
    annotations: {},
  })
}

export function homeName(session: string): string {
  return `${objectName(session)}-home`
}

function claim(
  name: string,
  bytes: number,
  settings: KubernetesSettings,
  meta: { labels: Record<string, string>; annotations: Record<string, string> },
): Claim {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name, namespace: settings.namespace, ...meta },
    spec: {
      accessModes: ['ReadWriteOnce'],
      resources: { requests: { storage: bytesQuantity(bytes) } },
      ...(settings.storageClass !== null && { storageClassName: settings.storageClass }),
    },
  }
}
