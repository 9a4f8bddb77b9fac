{{- define "porthole.api" -}}
app.kubernetes.io/name: porthole-api
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "porthole.postgres" -}}
app.kubernetes.io/name: porthole-postgres
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "porthole.labels" -}}
app.kubernetes.io/part-of: porthole
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "porthole.postgresSecret" -}}
{{- if .Values.postgres.existingSecret -}}{{ .Values.postgres.existingSecret }}{{- else -}}porthole-postgres{{- end -}}
{{- end -}}
