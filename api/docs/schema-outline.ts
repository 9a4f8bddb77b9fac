/** A JSON schema as rows for people: dotted names, a word for the type, what it says. Pure; recursion is cut where a name repeats. */

export interface Schema {
  $ref?: string
  type?: string | string[]
  enum?: unknown[]
  const?: unknown
  description?: string
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  additionalProperties?: Schema | boolean
  anyOf?: Schema[]
  oneOf?: Schema[]
  allOf?: Schema[]
  default?: unknown
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  format?: string
  pattern?: string
}

export interface Row {
  name: string
  type: string
  required: boolean
  text: string
}

export type Resolve = (schema: Schema) => Schema

const maxDepth = 4

export function outline(given: Schema, resolve: Resolve, prefix = '', depth = 0): Row[] {
  const schema = merged(given, resolve)
  return Object.entries(schema.properties ?? {}).flatMap(([key, property]) => {
    const inner = merged(property, resolve)
    const name = prefix + key
    const row: Row = {
      name,
      type: typeWord(inner, resolve),
      required: schema.required?.includes(key) === true,
      text: textOf(inner),
    }
    const below = inner.type === 'array' || (Array.isArray(inner.type) && inner.type.includes('array')) ? inner.items : inner
    if (!below || depth >= maxDepth) return [row]
    return [row, ...outline(below, resolve, below === inner ? `${name}.` : `${name}[].`, depth + 1)]
  })
}

/** Follows references, and takes the one meaningful branch of "this or null". */
function merged(schema: Schema, resolve: Resolve): Schema {
  const found = resolve(schema)
  if (found.allOf) return allOf(found.allOf.map(part => merged(part, resolve)))
  const branches = (found.anyOf ?? found.oneOf)?.filter(branch => branch.type !== 'null')
  if (branches?.length === 1)
    return { ...merged(branches[0]!, resolve), ...(found.description ? { description: found.description } : {}) }
  return found
}

function allOf(parts: Schema[]): Schema {
  return {
    ...Object.assign({}, ...parts),
    properties: Object.assign({}, ...parts.map(part => part.properties)),
    required: parts.flatMap(part => part.required ?? []),
  }
}

export function typeWord(given: Schema, resolve: Resolve): string {
  const schema = merged(given, resolve)
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum) return schema.enum.map(value => JSON.stringify(value)).join(' | ')
  const branches = schema.anyOf ?? schema.oneOf
  if (branches) return [...new Set(branches.map(branch => typeWord(branch, resolve)))].join(' | ')
  const types = [schema.type ?? 'any'].flat().filter(type => type !== 'null')
  return types
    .map(type => {
      if (type === 'array') return `${schema.items ? typeWord(schema.items, resolve) : 'any'}[]`
      if (type === 'string' && schema.format) return schema.format
      const values = schema.additionalProperties
      if (type === 'object' && !schema.properties && values) {
        return values === true ? 'object' : `{name: ${typeWord(values, resolve)}}`
      }
      return type
    })
    .join(' | ')
}

function textOf(schema: Schema): string {
  const low = schema.minimum ?? schema.minLength
  const high = schema.maximum ?? schema.maxLength
  const what = schema.type === 'string' ? ' characters' : ''
  const huge = high !== undefined && high >= Number.MAX_SAFE_INTEGER
  const range =
    high !== undefined && !huge ? `${low ?? 0} to ${high}${what}.` : low !== undefined && low > 0 ? `At least ${low}${what}.` : ''
  const usual = schema.default === undefined ? '' : `Default ${JSON.stringify(schema.default)}.`
  return [schema.description, range, usual].filter(Boolean).join(' ')
}
