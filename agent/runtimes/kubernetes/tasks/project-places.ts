/**
 * Where a project's own objects may be, decided by the cluster's operator: a namespace, and the ServiceAccount whose rights everything there is done
 * with. The agent itself has none in it but to act as that account.
 */
import { JobRefused } from '../../job-runtime.ts'

export interface ProjectPlace {
  /** `*`: every project that is not named. */
  project: string
  namespace: string
  serviceAccount: string
}

export function placeFor(places: readonly ProjectPlace[], project: string, namespace: string | undefined): ProjectPlace {
  const own = places.filter(place => place.project === project)
  const open = own.length > 0 ? own : places.filter(place => place.project === '*')
  const found = namespace === undefined ? open[0] : open.find(place => place.namespace === namespace)
  if (found) return found
  if (open.length === 0) throw new JobRefused('this cluster gives this project no namespace to apply things in')
  throw new JobRefused(
    `this project may not use the namespace ${namespace} here, only ${open.map(place => place.namespace).join(', ')}`,
  )
}

export function accountOf({ namespace, serviceAccount }: ProjectPlace): string {
  return `system:serviceaccount:${namespace}:${serviceAccount}`
}
