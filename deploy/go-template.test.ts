import { expect, it } from 'vitest'
import { ChartTemplates, TemplateFault } from './go-template.ts'

const values = {
  name: 'web',
  empty: '',
  zero: 0,
  on: true,
  list: ['b', 'a'],
  none: [],
  map: { b: 2, a: 'x', nested: { deep: '<&>' } },
  text: 'line 1\nline 2',
}

function render(source: string): string {
  const templates = new ChartTemplates()
  templates.add('a.yaml', source)
  return templates.render('a.yaml', { Values: values })
}

// What Go's text/template with Helm's functions makes of the same lines.
it.each([
  ['a {{ .Values.name }} b', 'a web b'],
  ['a {{- .Values.name -}} b', 'awebb'],
  ['a\n  {{- if .Values.on }}\nyes\n  {{- end }}\nb', 'a\nyes\nb'],
  ['{{ if .Values.empty }}1{{ else if .Values.zero }}2{{ else }}3{{ end }}', '3'],
  ['{{ if and .Values.on (not .Values.none) }}1{{ end }}', '1'],
  ['{{ or .Values.empty .Values.name }}', 'web'],
  ['{{ and .Values.empty .Values.missing.deeper }}', ''],
  ['{{ with .Values.map }}{{ .a }}{{ $.Values.name }}{{ end }}', 'xweb'],
  ['{{ with .Values.none }}1{{ else }}2{{ end }}', '2'],
  ['{{ range .Values.list }}[{{ . }}]{{ end }}', '[b][a]'],
  ['{{ range $i, $v := .Values.list }}{{ $i }}{{ $v }} {{ end }}', '0b 1a '],
  ['{{ range $k, $v := .Values.map }}{{ $k }} {{ end }}', 'a b nested '],
  ['{{ range .Values.none }}1{{ else }}none{{ end }}', 'none'],
  ['{{ $x := "1" }}{{ range .Values.list }}{{ $x = . }}{{ end }}{{ $x }}', 'a'],
  ['{{ $x := "1" }}{{ if .Values.on }}{{ $x := "2" }}{{ $x }}{{ end }}{{ $x }}', '21'],
  ['{{ .Values.missing }}', ''],
  ['{{ .Values.missing | default "d" }}', 'd'],
  ['{{ .Values.zero | quote }}{{ .Values.on | quote }}{{ .Values.missing | quote }}', '"0""true"'],
  ['{{ toJson .Values.map }}', '{"a":"x","b":2,"nested":{"deep":"\\u003c\\u0026\\u003e"}}'],
  ['{{ toYaml .Values.list | nindent 2 }}', '\n  - b\n  - a'],
  ['{{ .Values.text | indent 2 }}', '  line 1\n  line 2'],
  ['{{ join "," .Values.list }}', 'b,a'],
  ['{{ printf "%vm %s" .Values.zero .Values.name }}', '0m web'],
  ['{{ define "t" }}<{{ .name }}>{{ end }}{{ include "t" .Values | quote }}', '"<web>"'],
  ['{{/* gone */}}a', 'a'],
  ['a\n{{- /* gone */ -}}\nb', 'ab'],
  ['{{ eq .Values.name "a" "web" }} {{ ne .Values.name "web" }}', 'true false'],
  ['{{ .Values.name | b64enc | quote }}', '"d2Vi"'],
  ['{{ append (list "x") "y" | join "-" }}', 'x-y'],
  ['{{ `raw "quotes"` }}', 'raw "quotes"'],
])('%s', (source, made) => expect(render(source)).toBe(made))

it.each([
  ['{{ tpl .Values.name . }}', /tpl is not known/],
  ['{{ if .Values.on }}', /end \}\} is missing/],
  ['{{ end }}', /without a beginning/],
  ['{{ .Values.name.more }}', /has no field more/],
  ['{{ .Values.missing.more }}', /nil has no field more/],
  ['{{ .Values.map }}', /cannot be printed/],
  ['{{ $nobody }}', /not declared/],
  ['{{ include "nobody" . }}', /no template is called nobody/],
  ['{{ required "name it" .Values.empty }}', /name it/],
  ['{{ .Values.name ] }}', /cannot read/],
])('refuses %s', (source, told) => {
  expect(() => render(source)).toThrow(TemplateFault)
  expect(() => render(source)).toThrow(told)
})
