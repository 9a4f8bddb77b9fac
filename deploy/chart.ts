/** A chart from its folder to the objects it stands for: values merged and checked as Helm does, templates rendered, objects in the order of creation. */
import { globSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { parse, parseAllDocuments, stringify } from 'yaml'
import { z } from 'zod'
import { ChartTemplates } from './go-template.ts'

export type Values = { [key: string]: unknown }

export interface KubeObject {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> }
  [field: string]: unknown
}

export interface Release {
  name: string
  namespace: string
  /** Given values over those of values.yaml. */
  values?: Values
}

export class ValuesFault extends Error {
  override readonly name = 'ValuesFault'
}

/** Helm's order, of the kinds that are here: what is needed comes first. */
const order = [
  'Namespace',
  'NetworkPolicy',
  'ResourceQuota',
  'LimitRange',
  'ServiceAccount',
  'Secret',
  'ConfigMap',
  'PersistentVolumeClaim',
  'ClusterRole',
  'ClusterRoleBinding',
  'Role',
  'RoleBinding',
  'Service',
  'Deployment',
  'StatefulSet',
  'Ingress',
]

export function renderChart(folder: string, release: Release): KubeObject[] {
  const read = (file: string) => readFileSync(join(folder, file), 'utf8')
  const chart = parse(read('Chart.yaml')) as { name: string; version: string; appVersion: string }
  const values = merged(parse(read('values.yaml')) as Values, release.values ?? {})
  checkValues(JSON.parse(read('values.schema.json')) as object, values)
  const templates = new ChartTemplates()
  const files = globSync('templates/**/*.{yaml,tpl}', { cwd: folder }).sort()
  for (const file of files) templates.add(file, read(file))
  const context = {
    Values: values,
    Chart: { Name: chart.name, Version: chart.version, AppVersion: chart.appVersion },
    Release: { Name: release.name, Namespace: release.namespace, Service: 'Helm' },
  }
  const objects = files
    .filter(file => !file.split(sep).at(-1)!.startsWith('_'))
    .flatMap(file => objectsOf(file, templates.render(file, context)))
  const rank = ({ kind }: KubeObject) => (order.includes(kind) ? order.indexOf(kind) : order.length)
  return objects.sort((a, b) => rank(a) - rank(b))
}

function objectsOf(file: string, text: string): KubeObject[] {
  return parseAllDocuments(text).flatMap(document => {
    const [fault] = document.errors
    if (fault) throw new Error(`${file}: ${fault.message}\n${text}`)
    const value = document.toJS() as KubeObject | null
    return value === null ? [] : [value]
  })
}

/** Maps are merged, all else is replaced; `null` takes a key away. */
export function merged(base: Values, over: Values): Values {
  const isMap = (value: unknown): value is Values => typeof value === 'object' && value !== null && !Array.isArray(value)
  const out: Values = { ...base }
  for (const [key, value] of Object.entries(over)) {
    const below = out[key]
    if (value === null) delete out[key]
    else out[key] = isMap(value) && isMap(below) ? merged(below, value) : value
  }
  return out
}

export function checkValues(schema: object, values: Values): void {
  const parsed = z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).safeParse(values)
  if (parsed.success) return
  throw new ValuesFault(parsed.error.issues.map(issue => `${issue.path.join('.') || 'values'}: ${issue.message}`).join('\n'))
}

export function asYaml(objects: KubeObject[]): string {
  return objects.map(object => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })).join('---\n')
}

/** `a.b=1,c={x,y}` as `--set` has it: numbers, true, false and null are what they look like. */
export function setValue(values: Values, assignment: string): Values {
  const [, path, text = ''] = /^([A-Za-z][\w.-]*)=([\s\S]*)$/.exec(assignment) ?? []
  if (!path) throw new ValuesFault(`--set wants name=value, not ${assignment}`)
  const list = /^\{(.*)\}$/.exec(text)
  const value = list ? (list[1] === '' ? [] : list[1]!.split(',').map(scalar)) : scalar(text)
  const nested = path.split('.').reduceRight<unknown>((inner, key) => ({ [key]: inner }), value)
  return merged(values, nested as Values)
}

function scalar(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true'
  if (text === 'null') return null
  return /^-?(0|[1-9]\d*)$/.test(text) ? Number(text) : text
}
