/**
 * The reference as one page of HTML, made from the OpenAPI document: no script, nothing loaded from elsewhere, so it works offline and under
 * the strictest Content-Security-Policy. Everything that comes from the document is escaped.
 */
import type { OpenApiDocument } from './document.ts'
import { pageStyle } from './page-style.ts'
import { outline, type Row, type Schema, typeWord } from './schema-outline.ts'

interface Operation {
  operationId?: string
  summary?: string
  description?: string
  tags?: string[]
  security?: unknown[]
  parameters?: { name: string; in: string; required?: boolean; schema?: Schema; description?: string }[]
  requestBody?: { content?: Record<string, { schema?: Schema }> }
  responses?: Record<string, { description?: string; content?: Record<string, { schema?: Schema }> }>
  'x-access'?: string
}
interface Entry {
  method: string
  path: string
  operation: Operation
}

const methods = ['get', 'post', 'put', 'patch', 'delete'] as const

export function referencePage(document: OpenApiDocument, nonce: string): string {
  const byTag = Map.groupBy(entriesOf(document), entry => entry.operation.tags?.[0] ?? 'Other')
  const schemas = (document.components?.schemas ?? {}) as Record<string, Schema>
  const resolve = (schema: Schema): Schema => {
    const name = schema.$ref?.replace('#/components/schemas/', '')
    return name === undefined ? schema : (schemas[name] ?? {})
  }
  const sections = [...byTag].map(
    ([tag, entries]) =>
      `<section id="${slug(tag)}"><h2>${text(tag)}</h2>${entries.map(entry => operationHtml(entry, resolve)).join('')}</section>`,
  )
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(document.info.title)} API</title>
<style nonce="${nonce}">${pageStyle}</style>
<nav aria-label="Calls"><a href="#top"><strong>${text(document.info.title)}</strong> ${text(document.info.version)}</a>
<p><a href="/openapi.json">openapi.json</a></p>
${[...byTag].map(([tag, entries]) => `<h3><a href="#${slug(tag)}">${text(tag)}</a></h3><ul>${entries.map(navLine).join('')}</ul>`).join('')}
</nav>
<main id="top"><h1>${text(document.info.title)} API</h1>${prose(document.info.description ?? '')}${sections.join('')}</main>
</html>`
}

function entriesOf(document: OpenApiDocument): Entry[] {
  return Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    methods.flatMap(method => {
      const operation = (item as Record<string, Operation | undefined>)[method]
      return operation ? [{ method, path, operation }] : []
    }),
  )
}

const idOf = ({ method, path, operation }: Entry) => slug(operation.operationId ?? `${method}-${path}`)

function navLine(entry: Entry): string {
  return `<li><a href="#${idOf(entry)}"><b class="${entry.method}">${entry.method}</b> ${text(entry.path.replace(/^\/v1/, ''))}</a></li>`
}

const accessWords: Record<string, string> = {
  public: 'Nobody is asked who they are.',
  token: 'Any token.',
  agent: 'Agents only.',
  ticket: 'A ticket, or a token with <code>sessions:connect</code>.',
}

function operationHtml(entry: Entry, resolve: (schema: Schema) => Schema): string {
  const { method, path, operation } = entry
  const access = operation['x-access'] ?? ''
  const body = Object.entries(operation.requestBody?.content ?? {}).map(
    ([type, { schema }]) => `<h4>Body <small>${text(type)}</small></h4>${schema ? rowsHtml(outline(schema, resolve)) : ''}`,
  )
  const parameters = (operation.parameters ?? []).map(
    (parameter): Row => ({
      name: parameter.name,
      type: `${parameter.schema ? typeWord(parameter.schema, resolve) : 'string'} in ${parameter.in}`,
      required: parameter.required === true,
      text: parameter.description ?? parameter.schema?.description ?? '',
    }),
  )
  return `<article id="${idOf(entry)}"><h3><b class="${method}">${method}</b> <code>${text(path)}</code></h3>
<p>${text(operation.summary ?? '')}</p>${prose(operation.description ?? '')}
<p class="access">${accessWords[access] ?? `Scope <code>${text(access)}</code>.`}</p>
${parameters.length ? `<h4>Parameters</h4>${rowsHtml(parameters)}` : ''}${body.join('')}
<h4>Answers</h4>${Object.entries(operation.responses ?? {})
    .map(([status, response]) => answerHtml(status, response, resolve))
    .join('')}</article>`
}

function answerHtml(
  status: string,
  response: { description?: string; content?: Record<string, { schema?: Schema }> },
  resolve: (schema: Schema) => Schema,
): string {
  const [type, content] = Object.entries(response.content ?? {})[0] ?? []
  const head = `<b>${text(status)}</b> ${text(response.description ?? '')}`
  const rows = type === 'application/json' && content?.schema ? outline(content.schema, resolve) : []
  if (rows.length === 0) return `<p>${head}</p>`
  return `<details><summary>${head}</summary>${rowsHtml(rows)}</details>`
}

function rowsHtml(rows: Row[]): string {
  if (rows.length === 0) return ''
  const lines = rows.map(
    row =>
      `<tr><td><code>${text(row.name)}</code>${row.required ? ' <abbr title="required">*</abbr>' : ''}</td><td>${text(row.type)}</td><td>${code(row.text)}</td></tr>`,
  )
  return `<div class="rows"><table><tbody>${lines.join('')}</tbody></table></div>`
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const text = (given: string) => given.replace(/[&<>"']/g, char => entities[char]!)
/** Text in which back-ticks mark code. */
const code = (given: string) => text(given).replace(/`([^`]+)`/g, '<code>$1</code>')
const prose = (given: string) =>
  given
    .split(/\n{2,}/)
    .filter(Boolean)
    .map(paragraph => `<p>${code(paragraph)}</p>`)
    .join('')
const slug = (given: string) => given.replace(/[^A-Za-z0-9]+/g, '-')
