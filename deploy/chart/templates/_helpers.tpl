{{- define "berth.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- /* At most 50 characters, so that the longest suffix fits into a label. */ -}}
{{- define "berth.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "berth.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "berth.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "berth.selector" -}}
app.kubernetes.io/name: {{ include "berth.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "berth.labels" -}}
{{ include "berth.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* "true" or nothing. */ -}}
{{- define "berth.postgres" -}}
{{- if or .Values.database.url .Values.database.existingSecret }}true{{ end -}}
{{- end }}

{{- define "berth.databaseSecret" -}}
{{- .Values.database.existingSecret | default (printf "%s-database" (include "berth.fullname" .)) -}}
{{- end }}

{{- define "berth.replicas" -}}
{{- .Values.replicas | default (ternary 2 1 (eq (include "berth.postgres" .) "true")) -}}
{{- end }}

{{- /* Whether SQLite has a volume: "true" or nothing. */ -}}
{{- define "berth.persistent" -}}
{{- if and (not (include "berth.postgres" .)) (ne (toString .Values.persistence.enabled) "false") }}true{{ end -}}
{{- end }}

{{- define "berth.claim" -}}
{{- .Values.persistence.existingClaim | default (printf "%s-data" (include "berth.fullname" .)) -}}
{{- end }}

{{- define "berth.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{- define "berth.trustedProxies" -}}
{{- if kindIs "invalid" .Values.trustedProxies }}{{ ternary 1 0 .Values.ingress.enabled }}{{ else }}{{ int .Values.trustedProxies }}{{ end -}}
{{- end }}

{{- /* What roles give people: Berth makes these itself, and the controller may make no others. */ -}}
{{- define "berth.clusterRoles" -}}
[berth-owner, berth-admin, berth-developer, berth-viewer, berth-platform-reader, berth-node-keeper, berth-may-app-read, berth-may-app-create, berth-may-app-update, berth-may-app-delete, berth-may-workload-read, berth-may-workload-delete, berth-may-log-read, berth-may-exec-create]
{{- end }}
