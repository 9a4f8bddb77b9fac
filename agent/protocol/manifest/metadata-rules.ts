/** Names, labels and annotations. Labels and annotations steer controllers and admission of other programs: prefixes are on a list, too. */
import { fields, names, never, only, type Rule, record, text } from './rules.ts'

const word = '[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?'
/** Prefixes that only describe. What is ours (`porthole.dev/`, managed-by) is not among them. */
const labelKey = new RegExp(`^((app\\.kubernetes\\.io/(name|instance|version|component|part-of))|(helm\\.sh/chart)|${word})$`)
const annotationKey = new RegExp(
  `^((kubernetes\\.io/(change-cause|description))|(kubectl\\.kubernetes\\.io/restartedAt)|(prometheus\\.io/[a-z_.-]{1,40})|${word})$`,
)

export const labels: Rule = record(
  text({ max: 63, match: /^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$/, say: 'is not a value that a label may have' }),
  { key: labelKey, max: 60 },
)
export const annotations: Rule = record(text({ max: 16_384 }), { key: annotationKey, max: 60 })

/** `namespace`: the only one that may be written; null: none. */
export function metadata(namespace: string | null): Rule {
  return fields(
    {
      name: names.subdomain,
      namespace:
        namespace === null
          ? never('must be left out: the job says in which namespace all of it goes')
          : only(namespace, 'this job acts nowhere else; it may be left out'),
      labels,
      annotations,
      generateName: never('give it a name: what has none cannot be found again'),
      ownerReferences: never('owners are the cluster’s'),
      finalizers: never('nothing may keep itself from being deleted'),
      managedFields: never('is the cluster’s'),
      uid: never('is the cluster’s'),
      resourceVersion: never('is the cluster’s'),
      generation: never('is the cluster’s'),
      selfLink: never('is the cluster’s'),
      creationTimestamp: never('is the cluster’s'),
      deletionTimestamp: never('is the cluster’s'),
    },
    { need: ['name'] },
  )
}
